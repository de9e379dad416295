package artifacts

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// credentials are the keys given, or else those of the identity that the process has.
func (cfg *S3Config) credentials() *credentials.Credentials {
	switch {
	case !cfg.OwnIdentity || cfg.AccessKey != "" && cfg.SecretKey != "":
		return credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, cfg.SessionToken)
	case cfg.RoleARN != "":
		endpoint, client := cfg.sts()
		return credentials.New(&role{
			of: own(), client: client, endpoint: endpoint,
			options: credentials.STSAssumeRoleOptions{RoleARN: cfg.RoleARN, RoleSessionName: "argosy", Location: cmp.Or(cfg.Region, "us-east-1")},
		})
	}
	return own()
}

// own is the identity of this process: of its environment, of its user's files, or of where it
// runs, be that a Kubernetes service account or a machine.
func own() *credentials.Credentials {
	return credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: identityClient()},
	})
}

// identityClient asks those whom the process itself trusts, not whom a workflow names: it needs
// no guard, and reaches the link-local addresses at which clouds tell machines who they are.
func identityClient() *http.Client { return &http.Client{Timeout: 30 * time.Second} }

// sts is the server that knows roles: AWS's, or else the S3 server itself, which is how MinIO has
// it and which is reached as any other request to it is.
func (cfg *S3Config) sts() (endpoint string, client *http.Client) {
	if named := os.Getenv("AWS_ENDPOINT_URL_STS"); named != "" {
		return named, identityClient()
	}
	host, _, _ := strings.Cut(cfg.Endpoint, ":")
	region := cmp.Or(cfg.Region, "us-east-1")
	switch {
	case strings.HasSuffix(host, ".amazonaws.com.cn"):
		return fmt.Sprintf("https://sts.%s.amazonaws.com.cn", url.PathEscape(region)), identityClient()
	case strings.HasSuffix(host, ".amazonaws.com"):
		return fmt.Sprintf("https://sts.%s.amazonaws.com", url.PathEscape(region)), identityClient()
	}
	scheme := "https://"
	if cfg.Insecure {
		scheme = "http://"
	}
	return scheme + cfg.Endpoint, &http.Client{Transport: cfg.Transport, Timeout: 30 * time.Second}
}

// role is a role that an identity assumes.
type role struct {
	credentials.Expiry
	of       *credentials.Credentials
	client   *http.Client
	endpoint string
	options  credentials.STSAssumeRoleOptions
}

// RetrieveWithCredContext implements credentials.Provider.
func (r *role) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	as, err := r.of.GetWithContext(cc)
	if err != nil {
		return credentials.Value{}, fmt.Errorf("finding the identity that assumes %s: %w", r.options.RoleARN, err)
	}
	options := r.options
	options.AccessKey, options.SecretKey, options.SessionToken = as.AccessKeyID, as.SecretAccessKey, as.SessionToken
	sts := &credentials.STSAssumeRole{Client: r.client, STSEndpoint: r.endpoint, Options: options}
	value, err := sts.RetrieveWithCredContext(cc)
	if err != nil {
		return credentials.Value{}, fmt.Errorf("assuming %s: %w", r.options.RoleARN, err)
	}
	r.SetExpiration(value.Expiration, credentials.DefaultExpiryWindow)
	return value, nil
}

// Retrieve implements credentials.Provider.
func (r *role) Retrieve() (credentials.Value, error) { return r.RetrieveWithCredContext(nil) }
