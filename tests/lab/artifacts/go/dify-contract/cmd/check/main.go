// Program check RELEASE reads environments by service as JSON and prints a line for each fault.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"onprem.dify/contract/internal/contract"
)

func main() {
	release, err := contract.Read(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	var services map[string]contract.Environment
	if err := json.NewDecoder(os.Stdin).Decode(&services); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	faults := contract.Compare(release, services)
	for service, env := range services {
		for _, fault := range contract.Check(release, service, env) {
			faults = append(faults, service+": "+fault)
		}
	}
	for _, fault := range faults {
		fmt.Println(fault)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
}
