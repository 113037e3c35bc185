package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/redis/go-redis/v9"
)

// authorities of a file; without one those that Go finds by SSL_CERT_FILE.
func authorities(path string) (*tls.Config, error) {
	if path == "" {
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", path)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

// connectDatabase connects to the database of the family: that of Dify, or that of plugins.
func (container *Container) connectDatabase(ctx context.Context) (*pgx.Conn, error) {
	options := container.env["DB_EXTRAS"]
	if options == "" {
		// libpq, and what goes by its variables, finds the authority in PGSSLROOTCERT.
		options = "sslmode=" + container.env["DB_SSL_MODE"]
	}
	return container.connectPostgres(ctx, "DB_USERNAME", "DB_PASSWORD", "DB_HOST", "DB_PORT", "DB_DATABASE", options)
}

// connectVectors connects to the database of vectors, whose pool passes no mode of TLS: PGSSLMODE does.
func (container *Container) connectVectors(ctx context.Context) (*pgx.Conn, error) {
	return container.connectPostgres(
		ctx, "PGVECTOR_USER", "PGVECTOR_PASSWORD", "PGVECTOR_HOST", "PGVECTOR_PORT", "PGVECTOR_DATABASE", "")
}

func (container *Container) connectPostgres(ctx context.Context, user, password, host, port, name, options string) (*pgx.Conn, error) {
	env := container.env
	address := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(env[user], env[password]),
		Host:     net.JoinHostPort(env[host], env[port]),
		Path:     "/" + env[name],
		RawQuery: options,
	}
	connection, err := pgx.Connect(ctx, address.String())
	if err != nil {
		return nil, err
	}
	var encrypted bool
	err = connection.QueryRow(ctx, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&encrypted)
	if err == nil && !encrypted {
		err = fmt.Errorf("the connection to %s is not encrypted", env[name])
	}
	return connection, err
}

func needExtension(ctx context.Context, connection *pgx.Conn, extension string) error {
	var version string
	err := connection.QueryRow(ctx, "SELECT extversion FROM pg_extension WHERE extname = $1", extension).Scan(&version)
	if err == pgx.ErrNoRows {
		return fmt.Errorf("the database lacks the extension %s", extension)
	}
	return err
}

// cache is the Redis of the family.
func (container *Container) cache() (*redis.Client, error) {
	env := container.env
	if address := env["DIFY_AGENT_REDIS_URL"]; address != "" {
		plain, query, _ := strings.Cut(address, "?")
		values, err := url.ParseQuery(query)
		if err != nil {
			return nil, err
		}
		return redisAt(plain, values.Get("ssl_ca_certs"))
	}
	configuration, err := authorities(env["REDIS_SSL_CA_CERTS"])
	if err != nil {
		return nil, err
	}
	database, err := strconv.Atoi(env["REDIS_DB"])
	return redis.NewClient(&redis.Options{
		Addr:      net.JoinHostPort(env["REDIS_HOST"], env["REDIS_PORT"]),
		Username:  env["REDIS_USERNAME"],
		Password:  env["REDIS_PASSWORD"],
		DB:        database,
		TLSConfig: configuration,
	}), err
}

// broker is the Redis of the queues.
func (container *Container) broker() (*redis.Client, error) {
	return redisAt(container.env["CELERY_BROKER_URL"], container.env["REDIS_SSL_CA_CERTS"])
}

func redisAt(address, path string) (*redis.Client, error) {
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, fmt.Errorf("the address of Redis is none")
	}
	trusted, err := authorities(path)
	if err != nil {
		return nil, err
	}
	trusted.ServerName = options.TLSConfig.ServerName
	options.TLSConfig = trusted
	return redis.NewClient(options), nil
}

// store is the S3 of the family, and its bucket.
func (container *Container) store() (*minio.Client, string, error) {
	env := container.env
	key, secret, bucket := env["S3_ACCESS_KEY"], env["S3_SECRET_KEY"], env["S3_BUCKET_NAME"]
	if container.service == "plugin-daemon" {
		key, secret, bucket = env["AWS_ACCESS_KEY"], env["AWS_SECRET_KEY"], env["PLUGIN_STORAGE_OSS_BUCKET"]
	}
	address, err := url.Parse(env["S3_ENDPOINT"])
	if err != nil {
		return nil, "", err
	}
	trusted, err := authorities(env["AWS_CA_BUNDLE"])
	if err != nil {
		return nil, "", err
	}
	client, err := minio.New(address.Host, &minio.Options{
		Creds:        credentials.NewStaticV4(key, secret, ""),
		Secure:       true,
		Region:       env["S3_REGION"] + env["AWS_REGION"],
		BucketLookup: minio.BucketLookupPath,
		Transport:    &http.Transport{TLSClientConfig: trusted},
	})
	return client, bucket, err
}
