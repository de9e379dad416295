package main

import (
	"context"
	"net/http"

	corev1 "k8s.io/api/core/v1"

	"argosy/artifacts"
	"argosy/worker"
	"argosy/workflow/spec"
)

// cloud is how a worker reaches a store that a workflow names.
func (s *artifactStore) cloud() http.RoundTripper {
	t := s.web.Transport(false)
	t.DisableKeepAlives = true // nobody closes the store
	return t
}

// opened is a store, or how its location is wrong.
func opened(store artifacts.Store, err error) (artifacts.Store, error) {
	if err != nil {
		return nil, &worker.Fault{Class: worker.ClassInvalid, Err: err}
	}
	return store, nil
}

// gcs is a bucket of Google Cloud Storage. Where no key is named Argo takes the identity of the
// pod, which is here the worker's.
func (s *artifactStore) gcs(ctx context.Context, b *spec.GCSBucket) (artifacts.Store, error) {
	cfg := artifacts.GCSConfig{Bucket: b.Bucket, OwnIdentity: s.lend, Transport: s.cloud(), Endpoint: s.gcsEndpoint}
	if b.ServiceAccountKeySecret == nil && !s.lend {
		return nil, notLent("gcs bucket %q: to have no serviceAccountKeySecret", b.Bucket)
	}
	key, err := s.secret(ctx, b.ServiceAccountKeySecret)
	if err != nil {
		return nil, err
	}
	cfg.Key = []byte(key)
	return opened(artifacts.NewGCS(cfg))
}

// azure is a container of Azure Storage.
func (s *artifactStore) azure(ctx context.Context, b *spec.AzureBlobContainer) (artifacts.Store, error) {
	if b.UseSDKCreds && !s.lend {
		return nil, notLent("azure container %q: useSDKCreds", b.Container)
	}
	key, err := s.secret(ctx, b.AccountKeySecret)
	if err != nil {
		return nil, err
	}
	return opened(artifacts.NewAzure(artifacts.AzureConfig{Endpoint: b.Endpoint, Container: b.Container, Key: key, OwnIdentity: b.UseSDKCreds, Transport: s.cloud()}))
}

// oss is a bucket of Alibaba Cloud's OSS.
func (s *artifactStore) oss(ctx context.Context, b *spec.OSSBucket) (artifacts.Store, error) {
	if b.UseSDKCreds && !s.lend {
		return nil, notLent("oss bucket %q: useSDKCreds", b.Bucket)
	}
	cfg := artifacts.OSSConfig{
		Endpoint: b.Endpoint, Bucket: b.Bucket, Create: b.CreateBucketIfNotPresent, SecurityToken: b.SecurityToken,
		OwnIdentity: b.UseSDKCreds, Transport: s.cloud(),
	}
	if r := b.LifecycleRule; r != nil {
		cfg.InfrequentAfter, cfg.DeleteAfter = r.MarkInfrequentAccessAfterDays, r.MarkDeletionAfterDays
	}
	err := s.secrets(ctx, map[*string]*corev1.SecretKeySelector{&cfg.AccessKey: b.AccessKeySecret, &cfg.SecretKey: b.SecretKeySecret})
	if err != nil {
		return nil, err
	}
	return opened(artifacts.NewOSS(cfg))
}
