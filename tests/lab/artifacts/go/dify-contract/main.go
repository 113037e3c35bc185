// Program contract takes the place of a service of Dify in the lab: test equipment, not Dify. It refuses to start
// unless it is given what the release wants, uses the databases, stores and services as Dify does, and says at
// /contract what it reached.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"onprem.dify/contract/internal/contract"
)

const releaseFile = "/contract/release.json"

// Container is what all services have.
type Container struct {
	release contract.Release
	service string
	env     contract.Environment
	log     *slog.Logger
}

// What each service does until it is stopped.
var services = map[string]func(context.Context, *Container) error{
	"migration":     migrate,
	"api":           serveAPI,
	"websocket":     serveAPI,
	"worker":        work,
	"beat":          beat,
	"web":           serveWeb,
	"plugin-daemon": servePlugins,
	"sandbox":       serveSandbox,
	"agent-backend": serveAgents,
	"local-sandbox": serveAgentSandbox,
}

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, strings.ReplaceAll(err.Error(), "\n", "; "))
		os.Exit(1)
	}
}

func run(arguments []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	word := ""
	if len(arguments) > 1 {
		word = arguments[1]
	}
	// A report is asked for in a container that runs: `contract report [IMAGE]`.
	container, err := newContainer(arguments[len(arguments)-1])
	switch {
	case err != nil:
		return err
	case filepath.Base(arguments[0]) == "celery":
		return pingWorker(ctx, container)
	case word == "connect":
		return connect(ctx, arguments[2:])
	case word == "report":
		return container.print(ctx)
	}
	if faults := contract.Check(container.release, container.service, container.env); len(faults) > 0 {
		return fmt.Errorf("%s: %s", container.service, strings.Join(faults, "; "))
	}
	container.log.Info("started", "release", container.release.Version)
	if err := services[container.service](ctx, container); err != nil {
		return fmt.Errorf("%s: %w", container.service, err)
	}
	return nil
}

func newContainer(image string) (*Container, error) {
	release, err := contract.Read(releaseFile)
	if err != nil {
		return nil, err
	}
	env := contract.Environment{}
	for _, line := range os.Environ() {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	service := serviceOf(env, image)
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil)).With("service", service)
	return &Container{release, service, env, log}, nil
}

// serviceOf says which service a container is, as the entrypoint of the image of the API goes by its mode.
func serviceOf(env contract.Environment, image string) string {
	mode, known := env["MODE"]
	switch {
	case !known:
		return image
	case mode == "api" && strings.HasPrefix(env["SERVER_WORKER_CLASS"], "geventwebsocket"):
		return "websocket"
	}
	return mode
}

// serve until the container is stopped; requests that run are finished.
func (container *Container) serve(ctx context.Context, handler http.Handler) error {
	port := container.release.Services[container.service].Port
	server := &http.Server{Addr: fmt.Sprintf(":%d", port), Handler: container.logged(handler)}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), 50*time.Second)
	defer cancel()
	return server.Shutdown(ending)
}

func (container *Container) logged(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		handler.ServeHTTP(writer, request)
		container.log.Info("answered", "method", request.Method, "path", request.URL.Path)
	})
}
