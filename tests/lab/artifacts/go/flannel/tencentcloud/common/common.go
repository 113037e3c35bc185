// Package common stands in for the SDK of a cloud in which no site of ours runs, and which is not to be had everywhere:
// Flannel compiles with it, and its backend for that cloud answers that it is left out.
package common

func BoolPtr(value bool) *bool { return &value }

func StringPtr(value string) *string { return &value }

func StringPtrs(values []string) []*string {
	pointers := make([]*string, len(values))
	for index := range values {
		pointers[index] = &values[index]
	}
	return pointers
}
