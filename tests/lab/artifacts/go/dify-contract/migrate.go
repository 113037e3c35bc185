package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const lock = "db_upgrade_lock"

// The tables that this equipment uses. A real migration has many more.
var tables = []string{
	`CREATE TABLE IF NOT EXISTS alembic_version (version_num varchar(32) PRIMARY KEY)`,
	`CREATE TABLE IF NOT EXISTS dify_setups (version varchar(255) PRIMARY KEY, setup_at timestamp NOT NULL DEFAULT now())`,
	`CREATE TABLE IF NOT EXISTS accounts (id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), email varchar(255) NOT NULL UNIQUE,
		name varchar(255) NOT NULL, password bytea NOT NULL, salt bytea NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS upload_files (id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), key varchar(255) NOT NULL,
		name varchar(255) NOT NULL, size integer NOT NULL)`,
}

// migrate brings the database to the head of the release, one container at a time.
func migrate(ctx context.Context, container *Container) error {
	cache, err := container.cache()
	if err != nil {
		return err
	}
	free, err := cache.SetNX(ctx, lock, container.env["HOSTNAME"], 10*time.Minute).Result()
	if err != nil {
		return fmt.Errorf("Redis: %w", err)
	}
	if !free {
		return errors.New("another one runs")
	}
	defer cache.Del(context.WithoutCancel(ctx), lock)
	connection, err := container.connectDatabase(ctx)
	if err != nil {
		return err
	}
	defer connection.Close(context.WithoutCancel(ctx))
	if err := needExtension(ctx, connection, "uuid-ossp"); err != nil {
		return err
	}
	head := container.release.Head()
	err = pgx.BeginFunc(ctx, connection, func(work pgx.Tx) error {
		for _, table := range tables {
			if _, err := work.Exec(ctx, table); err != nil {
				return err
			}
		}
		if _, err := work.Exec(ctx, "DELETE FROM alembic_version"); err != nil {
			return err
		}
		_, err := work.Exec(ctx, "INSERT INTO alembic_version VALUES ($1)", head)
		return err
	})
	if err != nil {
		return err
	}
	container.log.Info("migrated", "head", head)
	return nil
}

// needHead refuses a database that is at another revision: nobody but the migration changes it.
func (container *Container) needHead(ctx context.Context) error {
	connection, err := container.connectDatabase(ctx)
	if err != nil {
		return err
	}
	defer connection.Close(context.WithoutCancel(ctx))
	var found string
	if err := connection.QueryRow(ctx, "SELECT version_num FROM alembic_version").Scan(&found); err != nil {
		return fmt.Errorf("the database was not migrated: %w", err)
	}
	if head := container.release.Head(); found != head {
		return fmt.Errorf("the database is at %s, wanted: %s", found, head)
	}
	return nil
}
