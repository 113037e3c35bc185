// Package contract says whether a service of Dify is given exactly what its release wants. Test equipment of the lab.
package contract

import (
	"encoding/json"
	"os"
	"slices"
)

// Release is what a file of the folder releases says, as far as a container can see it.
type Release struct {
	Version   string
	Migration struct{ Head string }
	Services  map[string]Service
	Flows     map[string][]string
	Secrets   map[string]Secret
	Settings  map[string]Settings
	Together  []map[string]string
	Renamed   map[string]string
	Removed   map[string]string
}

// Service is a container of Dify. `Settings` is the family whose settings it reads.
type Service struct {
	Settings    string
	Environment map[string]string
	Port        int
	Queues      []string
	Agents      bool
}

// Secret has one value, under the name that each family knows it by.
type Secret struct {
	Form     string
	Optional bool
	Names    map[string]string
}

// Settings of a family: decided, worked out, with a usual value, or known.
type Settings struct {
	Fixed    map[string]string
	Site     map[string]string
	Defaults map[string]string
	Known    []string
}

// Read the release that the image stands for.
func Read(path string) (Release, error) {
	var release Release
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &release)
	}
	return release, err
}

// Head is the revision of the database after the migration. Where nobody has seen it, one of the lab's own.
func (release Release) Head() string {
	if release.Migration.Head == "" {
		return "contract-" + release.Version
	}
	return release.Migration.Head
}

// secretsOf a family by their variables.
func (release Release) secretsOf(family string) map[string]Secret {
	found := map[string]Secret{}
	for _, secret := range release.Secrets {
		if name, known := secret.Names[family]; known {
			found[name] = secret
		}
	}
	return found
}

// Address of another service, as this one is told it; empty if it is not.
func (release Release) Address(service, end string, env Environment) string {
	for name, fact := range release.Settings[release.Services[service].Settings].Site {
		if fact == "service."+end && env[name] != "" {
			return env[name]
		}
	}
	return ""
}

// knows a setting or a secret of a family.
func (release Release) knows(family, name string) bool {
	settings := release.Settings[family]
	_, fixed := settings.Fixed[name]
	_, site := settings.Site[name]
	_, usual := settings.Defaults[name]
	_, secret := release.secretsOf(family)[name]
	return fixed || site || usual || secret || slices.Contains(settings.Known, name)
}
