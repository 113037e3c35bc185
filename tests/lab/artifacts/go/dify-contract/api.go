package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// Paths of the API that this equipment answers by saying what it was asked.
var echoed = []string{"/api/", "/v1/", "/mcp/", "/openapi/", "/triggers/", "/console/api/", "/threads", "/db-pool-stat"}

func serveAPI(ctx context.Context, container *Container) error {
	if err := container.needHead(ctx); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(writer http.ResponseWriter, _ *http.Request) {
		answer(writer, http.StatusOK, map[string]any{"pid": os.Getpid(), "status": "ok", "version": container.release.Version})
	})
	mux.HandleFunc("GET /contract", container.tellAll)
	mux.HandleFunc("/inner/api/", container.guarded("X-Inner-Api-Key", container.env["INNER_API_KEY_FOR_PLUGIN"], container.echo))
	mux.HandleFunc("GET /socket.io/", socket)
	mux.HandleFunc("GET /v1/contract/stream", stream)
	mux.HandleFunc("GET /v1/contract/queue", container.tellQueue)
	for _, path := range echoed {
		mux.HandleFunc(path, container.echo)
	}
	if container.service == "api" {
		console := newConsole(container)
		console.handle(mux)
	}
	return container.serve(ctx, mux)
}

func answer(writer http.ResponseWriter, status int, content any) {
	writer.Header().Set("Content-Type", "application/json")
	writer.WriteHeader(status)
	_ = json.NewEncoder(writer).Encode(content) // who asked is gone
}

// guarded answers those alone who show the secret.
func (container *Container) guarded(header, secret string, handler http.HandlerFunc) http.HandlerFunc {
	return func(writer http.ResponseWriter, request *http.Request) {
		if request.Header.Get(header) != secret {
			answer(writer, http.StatusUnauthorized, map[string]string{"code": "unauthorized"})
			return
		}
		handler(writer, request)
	}
}

func (container *Container) echo(writer http.ResponseWriter, request *http.Request) {
	answer(writer, http.StatusOK, map[string]any{
		"service": container.service,
		"host":    container.env["HOSTNAME"],
		"path":    request.URL.Path,
		"asked":   request.Host,
		"headers": request.Header,
	})
}

// tell what this container reaches, to those who come by no proxy.
func (container *Container) tell(writer http.ResponseWriter, request *http.Request) {
	if request.Header.Get("X-Forwarded-Host") != "" {
		http.NotFound(writer, request)
		return
	}
	answer(writer, http.StatusOK, container.report(request.Context()))
}

// tellAll adds what those without a port reach, who leave it in Redis.
func (container *Container) tellAll(writer http.ResponseWriter, request *http.Request) {
	ctx := request.Context()
	found := map[string]any{"own": container.report(ctx)}
	broker, err := container.broker()
	if err != nil {
		answer(writer, http.StatusInternalServerError, err.Error())
		return
	}
	defer broker.Close()
	others := []json.RawMessage{}
	keys, err := broker.Keys(ctx, alive+"*").Result()
	slices.Sort(keys)
	for _, key := range keys {
		others = append(others, json.RawMessage(broker.Get(ctx, key).Val()))
	}
	found["others"] = others
	found["scheduled"] = broker.Get(ctx, "contract:scheduled").Val()
	if err != nil {
		found["failed"] = err.Error()
	}
	answer(writer, http.StatusOK, found)
}

func (container *Container) tellQueue(writer http.ResponseWriter, request *http.Request) {
	broker, err := container.broker()
	if err == nil {
		defer broker.Close()
		var worker string
		if worker, err = roundTrip(request.Context(), broker, request.URL.Query().Get("queue")); err == nil {
			answer(writer, http.StatusOK, map[string]string{"worker": worker})
			return
		}
	}
	answer(writer, http.StatusServiceUnavailable, map[string]string{"failed": err.Error()})
}

// stream an event each second, as a long run of a workflow does.
func stream(writer http.ResponseWriter, request *http.Request) {
	seconds, _ := strconv.Atoi(request.URL.Query().Get("seconds"))
	writer.Header().Set("Content-Type", "text/event-stream")
	for number := range seconds {
		fmt.Fprintf(writer, "data: {\"event\": \"ping\", \"number\": %d}\n\n", number)
		writer.(http.Flusher).Flush()
		select {
		case <-request.Context().Done():
			return
		case <-time.After(time.Second):
		}
	}
	fmt.Fprint(writer, "data: {\"event\": \"finished\"}\n\n")
}

// socket speaks as much of Engine.IO 4 as a client needs to see that it is connected.
func socket(writer http.ResponseWriter, request *http.Request) {
	opened := `0{"sid":"contract","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`
	if request.URL.Query().Get("transport") != "websocket" {
		fmt.Fprint(writer, opened)
		return
	}
	connection, err := websocket.Accept(writer, request, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer connection.CloseNow()
	ctx := request.Context()
	if connection.Write(ctx, websocket.MessageText, []byte(opened)) != nil {
		return
	}
	for {
		kind, text, err := connection.Read(ctx)
		if err != nil {
			return
		}
		// A ping is answered by a pong, a message by itself.
		if strings.HasPrefix(string(text), "2") {
			text[0] = '3'
		}
		if connection.Write(ctx, kind, text) != nil {
			return
		}
	}
}
