package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	alive    = "contract:worker:"
	schedule = "/app/api/celerybeat-schedule"
	patience = 5 * time.Second
)

// work answers what is put into the queues that this worker reads.
func work(ctx context.Context, container *Container) error {
	if err := container.needHead(ctx); err != nil {
		return err
	}
	broker, err := container.broker()
	if err != nil {
		return err
	}
	go container.keepReporting(ctx, broker)
	read := []string{pings(container.env["HOSTNAME"])}
	read = append(read, strings.Split(container.env["CELERY_WORKER_QUEUES"], ",")...)
	for ctx.Err() == nil {
		found, err := broker.BRPop(ctx, time.Second, read...).Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			// Redis may be changing its master.
			container.log.Warn("no queue", "why", err.Error())
			time.Sleep(time.Second)
			continue
		}
		answer := found[1]
		broker.LPush(ctx, answer, container.env["HOSTNAME"])
		broker.Expire(ctx, answer, time.Minute)
	}
	return nil
}

// keepReporting says for those without a port what they reach.
func (container *Container) keepReporting(ctx context.Context, broker *redis.Client) {
	for ctx.Err() == nil {
		broker.Set(ctx, alive+container.env["HOSTNAME"], container.report(ctx).text(), time.Minute)
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Second):
		}
	}
}

func pings(worker string) string { return "contract:ping:" + worker }

// roundTrip puts a task into a queue and waits for the worker that answers it.
func roundTrip(ctx context.Context, broker *redis.Client, queue string) (string, error) {
	answer := fmt.Sprintf("contract:answer:%s:%d", queue, time.Now().UnixNano())
	if err := broker.LPush(ctx, queue, answer).Err(); err != nil {
		return "", err
	}
	found, err := broker.BRPop(ctx, patience, answer).Result()
	if errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("no worker answers in the queue %s", queue)
	}
	if err != nil {
		return "", err
	}
	return found[1], nil
}

// pingWorker is `celery inspect ping` of the worker in this container.
func pingWorker(ctx context.Context, container *Container) error {
	broker, err := container.broker()
	if err != nil {
		return err
	}
	worker, err := roundTrip(ctx, broker, pings(container.env["HOSTNAME"]))
	if err == nil {
		fmt.Printf("celery@%s: OK pong\n", worker)
	}
	return err
}

// beat puts what is due into its queue, and keeps the file of its schedule.
func beat(ctx context.Context, container *Container) error {
	if err := container.needHead(ctx); err != nil {
		return err
	}
	broker, err := container.broker()
	if err != nil {
		return err
	}
	go container.keepReporting(ctx, broker)
	for ctx.Err() == nil {
		if err := os.WriteFile(schedule, []byte(time.Now().Format(time.RFC3339)), 0o600); err != nil {
			return err
		}
		if worker, err := roundTrip(ctx, broker, "schedule_poller"); err != nil {
			container.log.Warn("nothing scheduled", "why", err.Error())
		} else {
			broker.Set(ctx, "contract:scheduled", worker+" "+time.Now().Format(time.RFC3339), 10*time.Minute)
		}
		select {
		case <-ctx.Done():
		case <-time.After(30 * time.Second):
		}
	}
	return nil
}
