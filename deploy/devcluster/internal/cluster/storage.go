package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// storageClass is what claims get that name no other. The controller manager itself provides
// for it, with folders of the node.
const storageClass = `{
	"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
	"metadata": {"name": "folder", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
	"provisioner": "kubernetes.io/host-path", "reclaimPolicy": "Delete"
}`

// provideStorage makes the default storage class, unless it is there.
func provideStorage(ctx context.Context) error {
	client, err := admin()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, apiServer+"/apis/storage.k8s.io/v1/storageclasses", strings.NewReader(storageClass))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusCreated || resp.StatusCode == http.StatusConflict {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if err != nil {
		return fmt.Errorf("making the storage class: %s: %w", resp.Status, err)
	}
	return fmt.Errorf("making the storage class: %s: %s", resp.Status, firstLine(body))
}
