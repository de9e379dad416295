package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"argosy/workflow/spec"
)

// largeArtifact has an artifact of n MB made, kept, fetched, kept packed in a directory, fetched and
// checked, by three pods that may have 64 MiB of memory each, with the cluster's S3 as the store.
func largeArtifact(ctx context.Context, b bench) (m measurement, err error) {
	if os.Getenv("ARGOSY_S3_ENDPOINT") == "" {
		return m, errors.New("there is no cluster with an S3: run `make cluster-up` and `eval \"$(bin/devcluster env)\"`")
	}
	text, err := os.ReadFile("deploy/e2e/testdata/large.yaml")
	if err != nil {
		return m, fmt.Errorf("reading the row's workflow: %w", err)
	}
	wf, err := parse(string(text))
	if err != nil {
		return m, err
	}
	wf.Name, wf.GenerateName = "large", ""
	for i := range wf.Spec.Arguments.Parameters {
		if p := &wf.Spec.Arguments.Parameters[i]; p.Name == "bytes" {
			p.Value = spec.AnyStringPtr(strconv.Itoa(b.n * 1_000_000))
		}
	}
	err = withCluster(ctx, func(c *cluster) error {
		sh, err := onCluster(c.kubeconfig, manySlots)
		if err != nil {
			return err
		}
		for _, v := range os.Environ() {
			if strings.HasPrefix(v, "ARGOSY_S3_") {
				sh.settings = append(sh.settings, v)
			}
		}
		return withFleet(ctx, b, sh, func(f *fleet) error {
			took, err := f.toEnd(ctx, wf, 3, time.Second, 20*time.Minute)
			if err != nil {
				return err
			}
			m.samples = inSeconds([]time.Duration{took})
			m.value = m.samples.P50
			used, err := f.usage(ctx)
			if err != nil {
				return err
			}
			m.note("worker CPU s", used.cpu["worker"])
			peak, err := f.find("worker").peakBytes()
			m.note("worker peak MB", peak/1e6)
			return err
		})
	})
	return m, err
}
