package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/minio/minio-go/v7"
)

// console is what an administrator and a user need of the API: the first setup, logging in, files.
type console struct{ *Container }

func newConsole(container *Container) console { return console{container} }

func (console console) handle(mux *http.ServeMux) {
	mux.HandleFunc("GET /console/api/setup", console.database(console.setupState))
	mux.HandleFunc("POST /console/api/setup", console.database(console.setup))
	mux.HandleFunc("GET /console/api/init", console.initState)
	mux.HandleFunc("POST /console/api/init", console.init)
	mux.HandleFunc("POST /console/api/login", console.database(console.login))
	mux.HandleFunc("POST /console/api/files/upload", console.database(console.upload))
	mux.HandleFunc("GET /files/{id}/file-preview", console.database(console.download))
}

type asked func(context.Context, *pgx.Conn, http.ResponseWriter, *http.Request) error

func (console console) database(handler asked) http.HandlerFunc {
	return func(writer http.ResponseWriter, request *http.Request) {
		ctx := request.Context()
		connection, err := console.connectDatabase(ctx)
		if err == nil {
			defer connection.Close(context.WithoutCancel(ctx))
			err = handler(ctx, connection, writer, request)
		}
		if err != nil {
			answer(writer, http.StatusInternalServerError, map[string]string{"code": "unknown", "message": err.Error()})
		}
	}
}

func (console console) sign(text string) string {
	sum := hmac.New(sha256.New, []byte(console.env["SECRET_KEY"]))
	sum.Write([]byte(text))
	return hex.EncodeToString(sum.Sum(nil))
}

func (console console) initState(writer http.ResponseWriter, request *http.Request) {
	state := "not_started"
	if console.mayInit(request) {
		state = "finished"
	}
	answer(writer, http.StatusOK, map[string]string{"status": state})
}

func (console console) mayInit(request *http.Request) bool {
	session, err := request.Cookie("session")
	return err == nil && session.Value == console.sign("init")
}

func (console console) init(writer http.ResponseWriter, request *http.Request) {
	var given struct{ Password string }
	if json.NewDecoder(request.Body).Decode(&given) != nil || given.Password != console.env["INIT_PASSWORD"] {
		answer(writer, http.StatusUnauthorized, map[string]string{"code": "init_validate_failed"})
		return
	}
	http.SetCookie(writer, &http.Cookie{Name: "session", Value: console.sign("init"), Path: "/", HttpOnly: true})
	answer(writer, http.StatusCreated, map[string]string{"result": "success"})
}

func isSetUp(ctx context.Context, connection *pgx.Conn) (bool, error) {
	var number int
	err := connection.QueryRow(ctx, "SELECT count(*) FROM dify_setups").Scan(&number)
	return number > 0, err
}

func (console console) setupState(ctx context.Context, connection *pgx.Conn, writer http.ResponseWriter, _ *http.Request) error {
	done, err := isSetUp(ctx, connection)
	if err != nil {
		return err
	}
	step := map[bool]string{true: "finished", false: "not_started"}[done]
	answer(writer, http.StatusOK, map[string]string{"step": step})
	return nil
}

func (console console) setup(ctx context.Context, connection *pgx.Conn, writer http.ResponseWriter, request *http.Request) error {
	var given struct{ Email, Name, Password string }
	if err := json.NewDecoder(request.Body).Decode(&given); err != nil {
		return err
	}
	done, err := isSetUp(ctx, connection)
	switch {
	case err != nil:
		return err
	case done:
		answer(writer, http.StatusForbidden, map[string]string{"code": "already_setup"})
		return nil
	case !console.mayInit(request):
		answer(writer, http.StatusUnauthorized, map[string]string{"code": "not_init_validated"})
		return nil
	case len(given.Password) < 8 || !strings.Contains(given.Email, "@") || given.Name == "":
		answer(writer, http.StatusBadRequest, map[string]string{"code": "invalid_param"})
		return nil
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	hashed, err := pbkdf2.Key(sha256.New, given.Password, salt, 10000, 32)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, connection, func(work pgx.Tx) error {
		_, err := work.Exec(ctx, "INSERT INTO accounts (email, name, password, salt) VALUES ($1, $2, $3, $4)",
			given.Email, given.Name, hashed, salt)
		if err != nil {
			return err
		}
		_, err = work.Exec(ctx, "INSERT INTO dify_setups (version) VALUES ($1)", console.release.Version)
		return err
	})
	if err == nil {
		answer(writer, http.StatusCreated, map[string]string{"result": "success"})
	}
	return err
}

// login with the password in base64, as the pages of Dify send it.
func (console console) login(ctx context.Context, connection *pgx.Conn, writer http.ResponseWriter, request *http.Request) error {
	var given struct{ Email, Password string }
	if err := json.NewDecoder(request.Body).Decode(&given); err != nil {
		return err
	}
	password, _ := base64.StdEncoding.DecodeString(given.Password) // what is none is no password
	var hashed, salt []byte
	err := connection.QueryRow(ctx, "SELECT password, salt FROM accounts WHERE email = $1", given.Email).Scan(&hashed, &salt)
	if err != nil && err != pgx.ErrNoRows {
		return err
	}
	found, err := pbkdf2.Key(sha256.New, string(password), salt, 10000, 32)
	if err != nil {
		return err
	}
	if len(hashed) == 0 || !hmac.Equal(found, hashed) {
		answer(writer, http.StatusUnauthorized, map[string]string{"code": "authentication_failed"})
		return nil
	}
	for _, name := range []string{"access_token", "csrf_token"} {
		value := console.sign(name + given.Email)
		http.SetCookie(writer, &http.Cookie{Name: name, Value: given.Email + "." + value, Path: "/", Secure: true})
	}
	answer(writer, http.StatusOK, map[string]string{"result": "success"})
	return nil
}

func (console console) loggedIn(request *http.Request) bool {
	access, err := request.Cookie("access_token")
	if err != nil {
		return false
	}
	place := strings.LastIndex(access.Value, ".")
	if place < 0 {
		return false
	}
	email := access.Value[:place]
	csrf := email + "." + console.sign("csrf_token"+email)
	return access.Value == email+"."+console.sign("access_token"+email) && request.Header.Get("X-CSRF-Token") == csrf
}

func (console console) upload(ctx context.Context, connection *pgx.Conn, writer http.ResponseWriter, request *http.Request) error {
	if !console.loggedIn(request) {
		answer(writer, http.StatusUnauthorized, map[string]string{"code": "unauthorized"})
		return nil
	}
	file, header, err := request.FormFile("file")
	if err != nil {
		return err
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	store, bucket, err := console.store()
	if err != nil {
		return err
	}
	var id string
	row := connection.QueryRow(ctx, "INSERT INTO upload_files (key, name, size) VALUES ('', $1, $2) RETURNING id::text",
		header.Filename, len(content))
	if err := row.Scan(&id); err != nil {
		return err
	}
	key := "upload_files/contract/" + id
	_, err = store.PutObject(ctx, bucket, key, bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{})
	if err != nil {
		return err
	}
	if _, err := connection.Exec(ctx, "UPDATE upload_files SET key = $1 WHERE id = $2::uuid", key, id); err != nil {
		return err
	}
	address := fmt.Sprintf("%s/files/%s/file-preview?sign=%s", console.env["FILES_URL"], id, console.sign(id))
	answer(writer, http.StatusCreated, map[string]any{"id": id, "name": header.Filename, "size": len(content), "source_url": address})
	return nil
}

func (console console) download(ctx context.Context, connection *pgx.Conn, writer http.ResponseWriter, request *http.Request) error {
	id := request.PathValue("id")
	if request.URL.Query().Get("sign") != console.sign(id) {
		answer(writer, http.StatusForbidden, map[string]string{"code": "forbidden"})
		return nil
	}
	var key string
	if err := connection.QueryRow(ctx, "SELECT key FROM upload_files WHERE id = $1::uuid", id).Scan(&key); err != nil {
		return err
	}
	store, bucket, err := console.store()
	if err != nil {
		return err
	}
	object, err := store.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	content, err := io.ReadAll(object)
	if err == nil {
		writer.Header().Set("Content-Type", "application/octet-stream")
		_, _ = writer.Write(content) // who asked is gone
	}
	return err
}
