package contract

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Published ones: whoever reads the compose file of Dify knows them.
var published = []string{
	"difyai123456",
	"dify-sandbox",
	"sk-9f73s3ljTXVcMT3Blb3ljTqtsKiGHXVcMT3BlbkFJLK7U",
	"lYkiYYT6owG+71oLerGzA7GXCgOT++6ovaezWAjpCjf+Sjc3ZtU+qUEi",
	"QaHbTe77CtuXmsfyhR7+vRjI/+XbV1AaFy691iy+kGDv2Jvy0/eAh8Y1",
}

// formFault says what a secret of a form has to be, if this is not it.
func formFault(form, value string) string {
	switch {
	case len(value) < 8:
		return "8 characters or more"
	case slices.Contains(published, value):
		return "one that was never published"
	case form == "key" && decoded(base64.StdEncoding, value) < 32:
		return "32 bytes or more in base64"
	case form == "base64url_key" && decoded(base64.RawURLEncoding, value) != 32:
		return "32 bytes in base64url, without padding"
	case form == "short_password" && len(value) > 30:
		return "30 characters or fewer"
	}
	return ""
}

func decoded(encoding *base64.Encoding, value string) int {
	bytes, err := encoding.DecodeString(value)
	if err != nil {
		return -1
	}
	return len(bytes)
}

// alike says whether a value is of the kind of an example: a number, true or false, or a text.
func alike(example, value string) bool {
	if example == "true" || example == "false" {
		return value == "true" || value == "false"
	}
	if _, err := strconv.ParseFloat(example, 64); err == nil {
		_, err := strconv.ParseFloat(value, 64)
		return err == nil
	}
	return true
}

var (
	hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
	word     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	number   = regexp.MustCompile(`^[0-9]+$`)
	absolute = regexp.MustCompile(`^/[^ ]+$`)
)

// Facts of one of a few values.
var choices = map[string][]string{
	"agents":            {"true", "false"},
	"postgres.ssl_mode": {"verify-full"},
	"uploads.type":      {"s3", "opendal"},
	"packages.type":     {"aws_s3", "local"},
}

// Facts that are an address: its scheme and its path.
var urls = map[string][2]string{
	"url":            {"https", ""},
	"socket_url":     {"wss", ""},
	"hook_url":       {"https", "/e/{hook_id}"},
	"s3.url":         {"https", ""},
	"agent_stub_url": {"http", "/agent-stub"},
}

var words = map[string]*regexp.Regexp{
	"authorities":    absolute,
	"postgres.host":  hostName,
	"postgres.port":  number,
	"redis.host":     hostName,
	"redis.port":     number,
	"redis.database": number,
}

// said is what a fact has to look like.
func (one *check) said(fact string) string {
	if end, isService := strings.CutPrefix(fact, "service."); isService {
		return fmt.Sprintf("http://HOST:%d of %s", one.release.Services[end].Port, end)
	}
	if choice, known := choices[fact]; known {
		return strings.Join(choice, " or ")
	}
	if form, known := urls[fact]; known {
		return fmt.Sprintf("%s://HOST%s", form[0], form[1])
	}
	if fact == "database.options" {
		return "sslmode=verify-full and sslrootcert with a path"
	}
	return fact
}

func (one *check) fits(fact, value string) bool {
	parsed, err := url.Parse(value)
	if err != nil {
		return false
	}
	if end, isService := strings.CutPrefix(fact, "service."); isService {
		port := strconv.Itoa(one.release.Services[end].Port)
		return parsed.Scheme == "http" && parsed.Port() == port && hostName.MatchString(parsed.Hostname()) && parsed.Path == ""
	}
	if choice, known := choices[fact]; known {
		return slices.Contains(choice, value)
	}
	if form, known := urls[fact]; known {
		return parsed.Scheme == form[0] && hostName.MatchString(parsed.Hostname()) && parsed.Path == form[1]
	}
	if form, known := words[fact]; known {
		return form.MatchString(value)
	}
	switch fact {
	case "database.options":
		options, err := url.ParseQuery(value)
		return err == nil && options.Get("sslmode") == "verify-full" && absolute.MatchString(options.Get("sslrootcert"))
	case "package_index":
		return parsed.Scheme == "https" && parsed.Host != ""
	}
	return word.MatchString(value)
}

// addresses with a password in them go with the settings beside them.
func (one *check) addresses() {
	if broker, err := url.Parse(one.env["CELERY_BROKER_URL"]); one.env["CELERY_BROKER_URL"] != "" {
		password, login := "", one.env["REDIS_USERNAME"]
		if err == nil && broker.User != nil {
			password, _ = broker.User.Password()
		}
		if err != nil || broker.Scheme != "rediss" || broker.User.Username() != login || password != one.env["REDIS_PASSWORD"] ||
			broker.Host != one.env["REDIS_HOST"]+":"+one.env["REDIS_PORT"] || broker.Path == "/"+one.env["REDIS_DB"] {
			one.fault("CELERY_BROKER_URL goes elsewhere, wanted: rediss:// with REDIS_USERNAME, its password and a database of its own")
		}
	}
	if runs, err := url.Parse(one.env["DIFY_AGENT_REDIS_URL"]); one.env["DIFY_AGENT_REDIS_URL"] != "" {
		if err != nil || runs.Scheme != "rediss" || runs.User == nil || runs.Query().Get("ssl_ca_certs") == "" {
			one.fault("DIFY_AGENT_REDIS_URL goes elsewhere, wanted: rediss:// with a user and ssl_ca_certs")
		}
	}
	hosts := map[string]bool{}
	for name, fact := range one.settings.Site {
		if fact == "url" || fact == "hook_url" || fact == "socket_url" {
			if parsed, err := url.Parse(one.env[name]); err == nil && parsed.Host != "" {
				hosts[parsed.Host] = true
			}
		}
	}
	if len(hosts) > 1 {
		one.fault("the addresses for users name %d hosts, wanted: one", len(hosts))
	}
}
