package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
)

// serveWeb answers each page with one that says what it is, and what the API said of the setup.
func serveWeb(ctx context.Context, container *Container) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /contract", container.tell)
	mux.HandleFunc("/", func(writer http.ResponseWriter, request *http.Request) {
		state := "reached"
		if err := container.visit(request.Context(), "api", container.env["SERVER_CONSOLE_API_URL"]); err != nil {
			state = "not reached"
		}
		writer.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(writer, `<!doctype html><html lang="en"><head><title>Dify (test equipment)</title></head><body>
<h1>In the place of Dify %s</h1><p id="path">%q</p><p id="api">API %s</p></body></html>`, container.release.Version, request.URL.Path, state)
	})
	return container.serve(ctx, mux)
}

// servePlugins keeps its own database, and the port at which others install plugins from afar, so that what closes it
// is seen to.
func servePlugins(ctx context.Context, container *Container) error {
	connection, err := container.connectDatabase(ctx)
	if err != nil {
		return err
	}
	_, err = connection.Exec(ctx, "CREATE TABLE IF NOT EXISTS plugins (id text PRIMARY KEY, installed_at timestamp DEFAULT now())")
	_ = connection.Close(ctx)
	if err == nil {
		err = os.MkdirAll(container.env["PLUGIN_WORKING_PATH"], 0o700)
	}
	if err != nil {
		return err
	}
	remote, err := net.Listen("tcp", ":5003")
	if err != nil {
		return err
	}
	defer remote.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health/check", container.echo)
	mux.HandleFunc("GET /contract", container.tell)
	mux.HandleFunc("/plugin/", container.guarded("X-Api-Key", container.env["SERVER_KEY"], container.echo))
	mux.HandleFunc("/e/", container.echo)
	return container.serve(ctx, mux)
}

func serveSandbox(ctx context.Context, container *Container) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", container.echo)
	mux.HandleFunc("GET /contract", container.tell)
	mux.HandleFunc("POST /v1/sandbox/run", container.guarded("X-Api-Key", container.env["API_KEY"], container.echo))
	return container.serve(ctx, mux)
}

func serveAgents(ctx context.Context, container *Container) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /contract", container.tell)
	mux.HandleFunc("GET /agent-stub/health", container.echo)
	mux.HandleFunc("/runs", container.guarded("Authorization", "Bearer "+container.env["DIFY_AGENT_API_TOKEN"], container.echo))
	return container.serve(ctx, mux)
}

func serveAgentSandbox(ctx context.Context, container *Container) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", container.echo)
	mux.HandleFunc("GET /contract", container.tell)
	mux.HandleFunc("/sessions", container.guarded("Authorization", "Bearer "+container.env["SHELLCTL_AUTH_TOKEN"], container.echo))
	return container.serve(ctx, mux)
}
