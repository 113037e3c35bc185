package contract

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Environment of a container.
type Environment map[string]string

// What every container has, whatever runs in it: of the image, of the shell and of Kubernetes.
var everywhere = []string{"HOME", "HOSTNAME", "OLDPWD", "PATH", "PWD", "SHLVL", "TERM", "_"}

const queues = "CELERY_WORKER_QUEUES"

// Check says what is wrong with the environment of a service, a line for each fault.
func Check(release Release, service string, env Environment) []string {
	wanted, known := release.Services[service]
	if !known {
		return []string{fmt.Sprintf("Dify %s has no service %s", release.Version, service)}
	}
	one := check{release: release, service: wanted, env: env, settings: release.Settings[wanted.Settings]}
	one.decided()
	one.workedOut()
	one.usual()
	one.secrets()
	one.queues()
	one.addresses()
	one.unknown()
	slices.Sort(one.faults)
	return one.faults
}

type check struct {
	release  Release
	service  Service
	settings Settings
	env      Environment
	faults   []string
}

func (one *check) fault(format string, values ...any) {
	one.faults = append(one.faults, fmt.Sprintf(format, values...))
}

func (one *check) equals(name, wanted string) {
	if found, set := one.env[name]; !set {
		one.fault("%s is missing, wanted: %q", name, wanted)
	} else if found != wanted {
		one.fault("%s is %q, wanted: %q", name, found, wanted)
	}
}

func (one *check) decided() {
	wanted := maps.Clone(one.settings.Fixed)
	if wanted == nil {
		wanted = map[string]string{}
	}
	maps.Copy(wanted, one.service.Environment)
	for name, value := range wanted {
		one.equals(name, value)
	}
}

// stored says whether files are in S3 for this family.
func (one *check) stored() bool {
	return one.env["STORAGE_TYPE"] == "s3" || one.env["PLUGIN_STORAGE_TYPE"] == "aws_s3"
}

func (one *check) workedOut() {
	for name, fact := range one.settings.Site {
		value, set := one.env[name]
		if !set {
			if !one.mayLack(fact) {
				one.fault("%s is missing, wanted: %s", name, one.said(fact))
			}
		} else if !one.fits(fact, value) {
			one.fault("%s is %q, wanted: %s", name, value, one.said(fact))
		}
	}
}

func (one *check) mayLack(fact string) bool {
	if end, isService := strings.CutPrefix(fact, "service."); isService {
		return one.release.Services[end].Agents && !one.service.Agents
	}
	switch fact {
	case "package_index":
		return true
	case "s3.url", "s3.region", "uploads.bucket", "packages.bucket":
		return !one.stored()
	}
	return false
}

// usual values may be others of their kind.
func (one *check) usual() {
	for name, example := range one.settings.Defaults {
		value, set := one.env[name]
		// A service may have a value of its own.
		if _, own := one.service.Environment[name]; own {
			continue
		}
		if !set {
			one.fault("%s is missing, wanted: a value as %q", name, example)
		} else if !alike(example, value) {
			one.fault("%s is %q, wanted: a value as %q", name, value, example)
		}
	}
}

func (one *check) secrets() {
	for name, secret := range one.release.secretsOf(one.service.Settings) {
		value, set := one.env[name]
		opens := strings.HasPrefix(name, "S3_") || strings.HasPrefix(name, "AWS_")
		if !set {
			if !secret.Optional && (one.stored() || !opens) {
				one.fault("%s is missing, wanted: a secret", name)
			}
		} else if fault := formFault(secret.Form, value); fault != "" {
			// Never its value.
			one.fault("%s is not a secret that serves, wanted: %s", name, fault)
		}
	}
}

func (one *check) queues() {
	found, set := one.env[queues]
	if len(one.service.Queues) == 0 {
		return
	}
	if !set || found == "" {
		one.fault("%s is missing, wanted: queues of Dify %s", queues, one.release.Version)
	}
	for queue := range strings.SplitSeq(found, ",") {
		if found != "" && !slices.Contains(one.service.Queues, queue) {
			one.fault("%s has %q, wanted: queues of Dify %s", queues, queue, one.release.Version)
		}
	}
}

func (one *check) unknown() {
	for name := range one.env {
		_, own := one.service.Environment[name]
		if own || (name == queues && len(one.service.Queues) > 0) || one.release.knows(one.service.Settings, name) {
			continue
		}
		if slices.Contains(everywhere, name) || strings.HasPrefix(name, "KUBERNETES_") {
			continue
		}
		if newer, renamed := one.release.Renamed[name]; renamed {
			one.fault("%s is not read by Dify %s, wanted: %s", name, one.release.Version, newer)
		} else if reason, removed := one.release.Removed[name]; removed {
			one.fault("%s is not read by Dify %s: %s", name, one.release.Version, reason)
		} else {
			one.fault("%s is unknown to Dify %s", name, one.release.Version)
		}
	}
}

// Compare the environments of several services, by their names: one secret has one value, and so have settings that
// mean one thing.
func Compare(release Release, services map[string]Environment) []string {
	groups := []map[string]string{}
	for _, secret := range release.Secrets {
		groups = append(groups, secret.Names)
	}
	groups = append(groups, release.Together...)
	var faults []string
	for _, names := range groups {
		var first, said string
		for _, service := range slices.Sorted(maps.Keys(services)) {
			name, reads := names[release.Services[service].Settings]
			value, set := services[service][name]
			if !reads || !set {
				continue
			}
			place := service + "." + name
			if first == "" {
				first, said = place, value
			} else if value != said {
				faults = append(faults, fmt.Sprintf("%s is another than %s, wanted: the same", place, first))
			}
		}
	}
	slices.Sort(faults)
	return faults
}
