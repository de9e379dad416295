package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	corev1 "k8s.io/api/core/v1"

	"argosy/artifacts"
	"argosy/artifacts/archive"
	"argosy/artifacts/git"
	"argosy/artifacts/plugin"
	"argosy/worker"
	"argosy/workflow/spec"
)

// at finds the store of an artifact, and its key there.
func (s *artifactStore) at(ctx context.Context, a *spec.Artifact) (artifacts.Store, string, error) {
	l := a.In(s.repository)
	var store artifacts.Store
	var err error
	key := a.Name
	if k, keyed := l.Key(); keyed {
		key = strings.Trim(k, "/")
	}
	switch {
	case l.S3 != nil:
		store, err = s.s3(ctx, l.S3)
	case l.GCS != nil:
		store, err = s.gcs(ctx, &l.GCS.GCSBucket)
	case l.Azure != nil:
		store, err = s.azure(ctx, &l.Azure.AzureBlobContainer)
	case l.OSS != nil:
		store, err = s.oss(ctx, &l.OSS.OSSBucket)
	case l.HTTP != nil:
		store, err = s.http(ctx, l.HTTP)
	case l.Artifactory != nil:
		store, err = s.basic(ctx, l.Artifactory.URL, l.Artifactory.UsernameSecret, l.Artifactory.PasswordSecret)
	case l.Git != nil:
		store, err = s.git(ctx, l.Git)
	case l.Plugin != nil:
		store, err = s.plugin(a, l.Plugin)
	default:
		err = worker.Faultf(worker.ClassInvalid, "artifact %s has no location that a worker can reach", a.Name)
	}
	if err != nil {
		return nil, "", fmt.Errorf("finding the store of artifact %s: %w", a.Name, err)
	}
	if store == s.own && ofArchive(key) {
		return nil, "", worker.Faultf(worker.ClassInvalid, "artifact %s has the key %q, and what is below %q is the archive's: choose another key", a.Name, key, archivePrefix)
	}
	return store, key, nil
}

// secret is a value that a location refers to; "" if it refers to none.
func (s *artifactStore) secret(ctx context.Context, ref *corev1.SecretKeySelector) (string, error) {
	if ref == nil {
		return "", nil
	}
	value, _, err := worker.SecretValue(ctx, s.objects, s.namespace, ref)
	return string(value), err
}

// secrets reads several.
func (s *artifactStore) secrets(ctx context.Context, refs map[*string]*corev1.SecretKeySelector) (err error) {
	for into, ref := range refs {
		if *into, err = s.secret(ctx, ref); err != nil {
			return err
		}
	}
	return nil
}

// s3 is the store of an artifact in S3: its own bucket, or else that of the run's repository,
// or else the fleet's. Another bucket than the fleet's needs keys of its own: those of the
// fleet are not lent.
func (s *artifactStore) s3(ctx context.Context, a *spec.S3Artifact) (artifacts.Store, error) {
	b := &a.S3Bucket
	switch {
	case b.Bucket == "" && b.Endpoint == "", b.Endpoint == "" && b.Bucket == s.bucket && s.bucket != "":
		return s.own, nil
	case b.Bucket == "":
		return nil, worker.Faultf(worker.ClassInvalid, "s3 endpoint %s comes without a bucket", b.Endpoint)
	case b.Endpoint == "":
		return nil, worker.Faultf(worker.ClassInvalid, "s3 bucket %q comes without an endpoint, and the fleet's own has only bucket %q", b.Bucket, s.bucket)
	case b.RoleARN != "" && !s.lend && (b.AccessKeySecret == nil || b.SecretKeySecret == nil):
		return nil, notLent("s3 bucket %q: roleARN", b.Bucket)
	case b.UseSDKCreds && !s.lend && (b.AccessKeySecret == nil || b.SecretKeySecret == nil):
		return nil, notLent("s3 bucket %q: useSDKCreds", b.Bucket)
	}
	cfg := artifacts.S3Config{
		Endpoint: b.Endpoint, Region: b.Region, Bucket: b.Bucket, Insecure: b.Insecure != nil && *b.Insecure,
		Existing: b.CreateBucketIfNotPresent == nil, Addressing: b.AddressingStyle,
		OwnIdentity: b.UseSDKCreds || b.RoleARN != "", RoleARN: b.RoleARN,
	}
	if c := b.CreateBucketIfNotPresent; c != nil {
		cfg.ObjectLocking = c.ObjectLocking
	}
	var ca string
	var customerKey *corev1.SecretKeySelector
	if e := b.EncryptionOptions; e != nil {
		cfg.Encryption = artifacts.S3Encryption{Enabled: e.EnableEncryption, KMSKey: e.KmsKeyID, KMSContext: e.KmsEncryptionContext}
		customerKey = e.ServerSideCustomerKeySecret
	}
	err := s.secrets(ctx, map[*string]*corev1.SecretKeySelector{
		&cfg.AccessKey: b.AccessKeySecret, &cfg.SecretKey: b.SecretKeySecret, &cfg.SessionToken: b.SessionTokenSecret, &ca: b.CASecret,
		&cfg.Encryption.CustomerKey: customerKey,
	})
	if err != nil {
		return nil, err
	}
	transport := s.buckets.Transport(false)
	if ca != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(ca)) {
			return nil, worker.Faultf(worker.ClassInvalid, "the caSecret of s3 bucket %q holds no certificate", b.Bucket)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	transport.DisableKeepAlives = true // nobody closes the store
	cfg.Transport = transport
	store, err := artifacts.NewS3(cfg)
	if err != nil {
		return nil, &worker.Fault{Class: worker.ClassInvalid, Err: err}
	}
	return store, nil
}

// notLent refuses what would let a workflow act with the rights of the worker.
func notLent(format string, args ...any) error {
	return worker.Faultf(worker.ClassInvalid, "%s would lend a workflow the rights of the worker: name secrets of the workflow's namespace instead, or start the workers with --lend-cloud-identity", fmt.Sprintf(format, args...))
}

// plugin is an artifact driver plugin, which has its own ways to whatever it keeps things in.
func (s *artifactStore) plugin(a *spec.Artifact, l *spec.PluginArtifact) (artifacts.Store, error) {
	if s.plugins == nil {
		return nil, worker.Faultf(worker.ClassInvalid, spec.NoPlugin, l.Name)
	}
	store, err := s.plugins.Store(l.Name, plugin.Location{
		Name: a.Name, Configuration: l.Configuration, ConnectTimeout: time.Duration(l.ConnectionTimeoutSeconds) * time.Second,
	})
	if errors.Is(err, plugin.ErrUnknown) {
		return nil, worker.Faultf(worker.ClassInvalid, spec.NoPlugin, l.Name)
	}
	return store, err
}

func (s *artifactStore) client() (*http.Client, *http.Transport) {
	t := s.web.Transport(false)
	t.DisableKeepAlives = true
	return &http.Client{Transport: t}, t
}

// basic is a URL with a user and a password.
func (s *artifactStore) basic(ctx context.Context, url string, user, password *corev1.SecretKeySelector) (*artifacts.Web, error) {
	client, _ := s.client()
	w := &artifacts.Web{URL: url, Client: client}
	return w, s.secrets(ctx, map[*string]*corev1.SecretKeySelector{&w.User: user, &w.Password: password})
}

func (s *artifactStore) http(ctx context.Context, a *spec.HTTPArtifact) (artifacts.Store, error) {
	w := &artifacts.Web{URL: a.URL, Header: http.Header{}}
	for _, h := range a.Headers {
		w.Header.Add(h.Name, h.Value)
	}
	client, transport := s.client()
	w.Client = client
	if a.Auth == nil {
		return w, nil
	}
	var cert, key, tokenURL string
	oauth := &clientcredentials.Config{Scopes: a.Auth.OAuth2.Scopes}
	err := s.secrets(ctx, map[*string]*corev1.SecretKeySelector{
		&w.User: a.Auth.BasicAuth.UsernameSecret, &w.Password: a.Auth.BasicAuth.PasswordSecret,
		&cert: a.Auth.ClientCert.ClientCertSecret, &key: a.Auth.ClientCert.ClientKeySecret,
		&oauth.ClientID: a.Auth.OAuth2.ClientIDSecret, &oauth.ClientSecret: a.Auth.OAuth2.ClientSecretSecret, &tokenURL: a.Auth.OAuth2.TokenURLSecret,
	})
	if err != nil {
		return nil, err
	}
	if cert != "" || key != "" {
		pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
		if err != nil {
			return nil, worker.Faultf(worker.ClassInvalid, "reading the client certificate for %s: %w", a.URL, err)
		}
		transport.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	if tokenURL != "" {
		oauth.TokenURL = tokenURL
		oauth.EndpointParams = map[string][]string{}
		for _, p := range a.Auth.OAuth2.EndpointParams {
			oauth.EndpointParams[p.Key] = append(oauth.EndpointParams[p.Key], p.Value)
		}
		w.Client = oauth.Client(context.WithValue(ctx, oauth2.HTTPClient, client))
	}
	return w, nil
}

func (s *artifactStore) git(ctx context.Context, a *spec.GitArtifact) (artifacts.Store, error) {
	r := &git.Repository{
		URL: a.Repo, Revision: a.Revision, Fetch: a.Fetch, Branch: a.Branch, SingleBranch: a.SingleBranch,
		NoSubmodules: a.DisableSubmodules, AnyHostKey: a.InsecureIgnoreHostKey, AnyCertificate: a.InsecureSkipTLS,
		Dial: s.web.Dial, Check: s.web.Check,
	}
	if a.Depth != nil {
		r.Depth = int(min(*a.Depth, 1<<30))
	}
	var key string
	err := s.secrets(ctx, map[*string]*corev1.SecretKeySelector{
		&r.User: a.UsernameSecret, &r.Password: a.PasswordSecret, &key: a.SSHPrivateKeySecret,
	})
	r.PrivateKey = []byte(key)
	return checkout{r}, err
}

// checkout is a store of one object: the repository's checkout, packed.
type checkout struct{ of *git.Repository }

func (c checkout) Get(ctx context.Context, _ string) (io.ReadCloser, error) {
	dir, err := os.MkdirTemp("", "argosy-git-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for a checkout: %w", err)
	}
	if err := git.Checkout(ctx, c.of, dir); err != nil {
		return nil, cmp.Or(err, os.RemoveAll(dir))
	}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		level := 0
		w.CloseWithError(archive.Pack(w, dir, archive.Format{Kind: archive.Tar, Level: &level}))
	}()
	return &packed{r, func() error { <-done; return os.RemoveAll(dir) }}, nil
}

// packed is a stream that leaves something to do at its end.
type packed struct {
	*io.PipeReader
	end func() error
}

func (p *packed) Close() error {
	return cmp.Or(p.PipeReader.Close(), p.end())
}

func (c checkout) unsupported() error {
	return worker.Faultf(worker.ClassInvalid, "git repositories are inputs only")
}

func (c checkout) Put(context.Context, string, io.Reader, int64) error { return c.unsupported() }

func (c checkout) Stat(context.Context, string) (artifacts.Object, error) {
	return artifacts.Object{}, c.unsupported()
}

func (c checkout) List(context.Context, string) iter.Seq2[artifacts.Object, error] {
	return func(func(artifacts.Object, error) bool) {}
}

func (c checkout) Delete(context.Context, string) error { return c.unsupported() }
