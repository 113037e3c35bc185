package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/redis/go-redis/v9"
)

// Report says what a container reached of what its release lets it reach: nothing, or why not.
type Report struct {
	Service string            `json:"service"`
	Release string            `json:"release"`
	Host    string            `json:"host"`
	Reached []string          `json:"reached"`
	Failed  map[string]string `json:"failed"`
}

func (report Report) text() string {
	text, _ := json.Marshal(report) // of strings alone
	return string(text)
}

// Who asks a service shows this, from this variable, and gets an answer at this path.
var visits = map[string]struct{ method, path, header, prefix string }{
	"plugin-daemon": {http.MethodGet, "/plugin/contract/management/list", "X-Api-Key", ""},
	"api":           {http.MethodGet, "/inner/api/contract", "X-Inner-Api-Key", ""},
	"sandbox":       {http.MethodPost, "/v1/sandbox/run", "X-Api-Key", ""},
	"agent-backend": {http.MethodGet, "/runs", "Authorization", "Bearer "},
	"local-sandbox": {http.MethodGet, "/sessions", "Authorization", "Bearer "},
}

var shown = map[string]string{
	"api plugin-daemon":           "PLUGIN_DAEMON_KEY",
	"api sandbox":                 "CODE_EXECUTION_API_KEY",
	"api agent-backend":           "AGENT_BACKEND_API_TOKEN",
	"plugin-daemon api":           "DIFY_INNER_API_KEY",
	"agent-backend api":           "DIFY_AGENT_INNER_API_KEY",
	"agent-backend plugin-daemon": "DIFY_AGENT_PLUGIN_DAEMON_API_KEY",
	"agent-backend local-sandbox": "DIFY_AGENT_LOCAL_SANDBOX_AUTH_TOKEN",
}

// report tries everything at once.
func (container *Container) report(ctx context.Context) Report {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	found := Report{container.service, container.release.Version, container.env["HOSTNAME"], []string{}, map[string]string{}}
	var lock sync.Mutex
	var all sync.WaitGroup
	for _, end := range container.release.Flows[container.service] {
		probe := container.probe(end)
		if probe == nil {
			continue
		}
		all.Go(func() {
			err := probe(ctx)
			lock.Lock()
			defer lock.Unlock()
			if err == nil {
				found.Reached = append(found.Reached, end)
			} else {
				found.Failed[end] = err.Error()
			}
		})
	}
	all.Wait()
	return found
}

// probe of an end, or nothing where this container has no use for it.
func (container *Container) probe(end string) func(context.Context) error {
	switch end {
	case "postgres":
		return container.tryPostgres
	case "redis":
		return container.tryRedis
	case "s3":
		if container.env["S3_ENDPOINT"] == "" {
			return nil
		}
		return container.tryStore
	case "packages":
		if container.env["PIP_MIRROR_URL"] == "" {
			return nil
		}
		return func(ctx context.Context) error {
			return get(ctx, http.DefaultTransport, container.env["PIP_MIRROR_URL"], http.StatusOK)
		}
	case "smtp", "models":
		return nil
	}
	address := container.release.Address(container.service, end, container.env)
	if address == "" {
		return nil
	}
	return func(ctx context.Context) error { return container.visit(ctx, end, address) }
}

func (container *Container) visit(ctx context.Context, end, address string) error {
	if strings.HasSuffix(end, "ssrf-proxy") {
		return refused(ctx, address)
	}
	visit, family := visits[end], container.release.Services[container.service].Settings
	secret := container.env[shown[family+" "+end]]
	if secret == "" {
		visit.path = map[string]string{"web": "/console/api/setup", "local-sandbox": "/agent-stub/health"}[family]
	}
	request, err := http.NewRequestWithContext(ctx, visit.method, address+visit.path, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	request.Header.Set(visit.header, visit.prefix+secret)
	return answers(http.DefaultTransport, request, http.StatusOK)
}

// refused by the proxy is the address at which clouds tell their secrets; so it works, and keeps its rules.
func refused(ctx context.Context, address string) error {
	proxy, err := url.Parse(address)
	if err != nil {
		return err
	}
	return get(ctx, &http.Transport{Proxy: http.ProxyURL(proxy)}, "http://169.254.169.254/", http.StatusForbidden)
}

func get(ctx context.Context, transport http.RoundTripper, address string, wanted int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	return answers(transport, request, wanted)
}

func answers(transport http.RoundTripper, request *http.Request, wanted int) error {
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != wanted {
		return fmt.Errorf("%s answers %d, wanted: %d", request.URL.Redacted(), answer.StatusCode, wanted)
	}
	return nil
}

func (container *Container) tryPostgres(ctx context.Context) error {
	connection, err := container.connectDatabase(ctx)
	if err != nil {
		return err
	}
	defer connection.Close(context.WithoutCancel(ctx))
	if err := needExtension(ctx, connection, "uuid-ossp"); err != nil || container.env["PGVECTOR_HOST"] == "" {
		return err
	}
	vectors, err := container.connectVectors(ctx)
	if err != nil {
		return err
	}
	defer vectors.Close(context.WithoutCancel(ctx))
	if err := needExtension(ctx, vectors, "vector"); err != nil {
		return err
	}
	_, err = vectors.Exec(ctx, "SELECT '[1,2,3]'::vector <=> '[3,2,1]'::vector")
	return err
}

func (container *Container) tryRedis(ctx context.Context) error {
	cache, err := container.cache()
	if err != nil {
		return err
	}
	defer cache.Close()
	if err := cache.Set(ctx, "contract:"+container.env["HOSTNAME"], "here", time.Minute).Err(); err != nil {
		return err
	}
	if container.env["CELERY_BROKER_URL"] == "" {
		return nil
	}
	broker, err := container.broker()
	if err != nil {
		return err
	}
	defer broker.Close()
	err = broker.Get(ctx, "contract:"+container.env["HOSTNAME"]).Err()
	if err != redis.Nil {
		return fmt.Errorf("the queues and the cache share a database of Redis (%v)", err)
	}
	return nil
}

func (container *Container) tryStore(ctx context.Context) error {
	store, bucket, err := container.store()
	if err != nil {
		return err
	}
	key, content := "contract/"+container.env["HOSTNAME"], []byte(time.Now().String())
	_, err = store.PutObject(ctx, bucket, key, bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{})
	if err != nil {
		return err
	}
	object, err := store.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	found, err := io.ReadAll(object)
	if err == nil && !bytes.Equal(found, content) {
		err = fmt.Errorf("the store gives back another file")
	}
	if err != nil {
		return err
	}
	return store.RemoveObject(ctx, bucket, key, minio.RemoveObjectOptions{})
}

func (container *Container) print(ctx context.Context) error {
	fmt.Println(container.report(ctx).text())
	return nil
}

// connect HOST:PORT says whether a connection opens.
func connect(ctx context.Context, arguments []string) error {
	dialer := net.Dialer{Timeout: 3 * time.Second}
	connection, err := dialer.DialContext(ctx, "tcp", arguments[0])
	if err != nil {
		return err
	}
	fmt.Println("connected")
	return connection.Close()
}
