package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// azureBlock is the memory that an upload takes; 50,000 of these are 390 GiB.
const azureBlock = 8 << 20

// AzureConfig says where a container of Azure Storage is.
type AzureConfig struct {
	Endpoint  string // https://ACCOUNT.blob.core.windows.net, or an address with the account as its path
	Container string
	// Key is the account's, or a shared access signature. Without it nobody in particular asks.
	Key string
	// OwnIdentity asks as who this process is in its cloud, in place of a key. Its token is shown to
	// Azure's hosts, and to those of TrustedHosts: whoever is given one can use it elsewhere.
	OwnIdentity  bool
	TrustedHosts []string
	Transport    http.RoundTripper
}

// Azure is a Store in a container of Azure Storage.
type Azure struct {
	container *container.Client
	name      string
}

// NewAzure makes a client; it does not yet talk to the server.
func NewAzure(cfg AzureConfig) (*Azure, error) {
	fail := func(err error) (*Azure, error) {
		return nil, fmt.Errorf("opening the artifact container %s: %w", cfg.Container, err)
	}
	if cfg.Container == "" {
		return fail(errors.New("it has no name"))
	}
	at, err := url.Parse(cfg.Endpoint)
	if err != nil || at.Host == "" {
		return fail(fmt.Errorf("endpoint %q is no URL", cfg.Endpoint))
	}
	account := azureAccount(at)
	at = at.JoinPath(cfg.Container)
	options := &container.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: cfg.Transport}}}
	// Of one request. Who has time tries all of it again: see ErrAway.
	options.Retry = policy.RetryOptions{MaxRetries: 2}
	s := &Azure{name: cfg.Container}
	switch key := strings.TrimSpace(cfg.Key); {
	case cfg.OwnIdentity && !azureHost(at.Hostname()) && !slices.Contains(cfg.TrustedHosts, at.Hostname()):
		return fail(fmt.Errorf("%s is none of Azure's hosts: the worker's identity is not shown to it", at.Hostname()))
	case cfg.OwnIdentity:
		var own azcore.TokenCredential
		if own, err = azureIdentity(); err == nil {
			s.container, err = container.NewClient(at.String(), own, options)
		}
	case key == "":
		s.container, err = container.NewClientWithNoCredential(at.String(), options)
	case strings.Contains(key, "sig="):
		at.RawQuery = strings.TrimPrefix(key, "?")
		s.container, err = container.NewClientWithNoCredential(at.String(), options)
	default:
		var shared *container.SharedKeyCredential
		if shared, err = container.NewSharedKeyCredential(account, key); err == nil {
			s.container, err = container.NewClientWithSharedKeyCredential(at.String(), shared, options)
		}
	}
	if err != nil {
		return fail(err)
	}
	return s, nil
}

// azureHost says that a host is one of Azure's, in any of its clouds.
func azureHost(host string) bool {
	for _, of := range []string{".blob.core.windows.net", ".blob.storage.azure.net", ".blob.core.chinacloudapi.cn", ".blob.core.usgovcloudapi.net"} {
		if strings.HasSuffix(strings.ToLower(host), of) {
			return true
		}
	}
	return false
}

// azureIdentity is who this process is: what its environment names, what its pod's service account
// stands for, or its machine. Programs and files of a person's are not asked.
func azureIdentity() (azcore.TokenCredential, error) {
	options := azcore.ClientOptions{Transport: identityClient()}
	var sources []azcore.TokenCredential
	// Each says by an error that the environment names no such identity.
	if c, err := azidentity.NewEnvironmentCredential(&azidentity.EnvironmentCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true}); err == nil {
		sources = append(sources, c)
	}
	if c, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true}); err == nil {
		sources = append(sources, c)
	}
	managed := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: options}
	if id := os.Getenv("AZURE_CLIENT_ID"); id != "" {
		managed.ID = azidentity.ClientID(id)
	}
	c, err := azidentity.NewManagedIdentityCredential(managed)
	if err != nil {
		return nil, fmt.Errorf("finding this process's identity: %w", err)
	}
	return azidentity.NewChainedTokenCredential(append(sources, c), nil)
}

// azureAccount is the account whose key it is: it is in the host's name, or, at an emulator, in
// the path.
func azureAccount(at *url.URL) string {
	name, rest, _ := strings.Cut(at.Hostname(), ".")
	if path := strings.Trim(at.Path, "/"); path != "" && !strings.HasPrefix(rest, "blob.") {
		name, _, _ = strings.Cut(path, "/")
	}
	return name
}

// azureError says what a store has to know of an error.
func azureError(ctx context.Context, err error) error {
	if refused, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok && refused.RawResponse != nil {
		return fmt.Errorf("signing in: %w", err)
	}
	answer, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return away(ctx, err)
	}
	return answered(answer.StatusCode, fmt.Errorf("it answered %d %s", answer.StatusCode, answer.ErrorCode))
}

// Put implements Store. A blob is there when its list of blocks is, and not before.
func (s *Azure) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return put(ctx, key, r, size, func(from *upload) error { return s.put(ctx, key, from) })
}

func (s *Azure) put(ctx context.Context, key string, from *upload) error {
	whole, rest, err := from.ahead()
	if err != nil {
		return err
	}
	blob := s.container.NewBlockBlobClient(key)
	if whole != nil {
		_, err = blob.Upload(ctx, seekable{whole}, nil)
	} else {
		_, err = blob.UploadStream(ctx, rest, &blockblob.UploadStreamOptions{BlockSize: azureBlock, Concurrency: 1})
	}
	return azureError(ctx, err)
}

// seekable has nothing to close.
type seekable struct{ io.ReadSeeker }

func (seekable) Close() error { return nil }

// Get implements Store.
func (s *Azure) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	answer, err := s.container.NewBlobClient(key).DownloadStream(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("getting %s: %w", key, azureError(ctx, err))
	}
	return body{answer.Body, ctx}, nil
}

// Stat implements Store.
func (s *Azure) Stat(ctx context.Context, key string) (Object, error) {
	if err := checkKey(key); err != nil {
		return Object{}, err
	}
	found, err := s.container.NewBlobClient(key).GetProperties(ctx, nil)
	if err != nil {
		return Object{}, fmt.Errorf("looking at %s: %w", key, azureError(ctx, err))
	}
	o := Object{Key: key}
	if found.ContentLength != nil {
		o.Size = *found.ContentLength
	}
	if found.LastModified != nil {
		o.ModTime = *found.LastModified
	}
	return o, nil
}

// List implements Store.
func (s *Azure) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if _, ok := directory(prefix); !ok {
			return
		}
		pages := s.container.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &prefix})
		for pages.More() {
			page, err := pages.NextPage(ctx)
			if err = azureError(ctx, err); errors.Is(err, ErrNotFound) { // the container
				return
			} else if err != nil {
				yield(Object{}, fmt.Errorf("listing %s: %w", prefix, err))
				return
			}
			for _, item := range page.Segment.BlobItems {
				o := Object{Key: *item.Name}
				if p := item.Properties; p != nil && p.ContentLength != nil && p.LastModified != nil {
					o.Size, o.ModTime = *p.ContentLength, *p.LastModified
				}
				if !yield(o, nil) {
					return
				}
			}
		}
	}
}

// Delete implements Store.
func (s *Azure) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	_, err := s.container.NewBlobClient(key).Delete(ctx, nil)
	if err = azureError(ctx, err); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("deleting %s: %w", key, err)
	}
	return nil
}
