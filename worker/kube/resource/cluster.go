package resource

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/oauth2"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/transport"

	"argosy/worker"
	"argosy/workflow"
)

// ClusterConfig says how a worker acts in a cluster.
type ClusterConfig struct {
	// Owner is the label value of what is kept for runs: it tells this installation, with this
	// Redis, from others that use the same cluster.
	Owner string
	// Own has the worker act as itself for workflows that name no service account, for one
	// whose user is the worker's. Otherwise those act as the account "default", as in Argo.
	Own bool
}

// Cluster is a Kubernetes cluster as resource templates have it.
type Cluster struct {
	cfg    ClusterConfig
	client kubernetes.Interface
	mapper meta.RESTMapper
	// dial connects with the tokens; nil tokens are for the worker itself.
	dial func(tokens oauth2.TokenSource) (dynamic.Interface, error)

	mu       sync.Mutex
	accounts map[types.NamespacedName]*account
}

// account is a service account that the worker acts as.
type account struct {
	tokens oauth2.TokenSource
	client dynamic.Interface
}

// maxAccounts bounds the accounts that are remembered.
const maxAccounts = 1000

// NewCluster makes a Cluster. Nothing is asked of it yet.
func NewCluster(cfg ClusterConfig, client kubernetes.Interface, config *rest.Config) *Cluster {
	// What there is may be known to everybody, so that one answer serves all accounts.
	known := memory.NewMemCacheClient(client.Discovery())
	mapper := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(known), known, nil)
	return &Cluster{
		cfg: cfg, client: client, mapper: mapper, accounts: map[types.NamespacedName]*account{},
		dial: func(tokens oauth2.TokenSource) (dynamic.Interface, error) {
			as := config
			if tokens != nil {
				as = rest.AnonymousClientConfig(config)
				as.QPS, as.Burst = config.QPS, config.Burst
				as.Wrap(transport.TokenSourceWrapTransport(tokens))
			}
			return dynamic.NewForConfig(as)
		},
	}
}

// as connects as a service account, with a token that is good for a while.
func (c *Cluster) as(ctx context.Context, namespace, name string) (dynamic.Interface, error) {
	if name == "" && c.cfg.Own {
		return c.dial(nil)
	}
	if name == "" {
		name = "default"
	}
	key := types.NamespacedName{Namespace: namespace, Name: name}
	c.mu.Lock()
	a := c.accounts[key]
	c.mu.Unlock()
	if a == nil {
		tokens := &tokenSource{client: c.client, of: key}
		// Found out here, a refusal is told as what it is.
		first, err := tokens.request(ctx)
		if err != nil {
			return nil, err
		}
		a = &account{tokens: oauth2.ReuseTokenSourceWithExpiry(first, tokens, tokenSlack)}
		if a.client, err = c.dial(a.tokens); err != nil {
			return nil, fmt.Errorf("connecting as service account %s: %w", key, err)
		}
		c.mu.Lock()
		if len(c.accounts) >= maxAccounts {
			clear(c.accounts)
		}
		c.accounts[key] = a
		c.mu.Unlock()
	}
	return a.client, nil
}

const (
	tokenTime  = time.Hour
	tokenSlack = 10 * time.Minute
)

// tokenSource asks for tokens of a service account.
type tokenSource struct {
	client kubernetes.Interface
	of     types.NamespacedName
}

// Token implements oauth2.TokenSource.
func (s *tokenSource) Token() (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.request(ctx)
}

func (s *tokenSource) request(ctx context.Context) (*oauth2.Token, error) {
	r, err := s.client.CoreV1().ServiceAccounts(s.of.Namespace).CreateToken(ctx, s.of.Name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(tokenTime / time.Second))},
	}, metav1.CreateOptions{})
	switch {
	case err == nil:
		return &oauth2.Token{AccessToken: r.Status.Token, TokenType: "Bearer", Expiry: r.Status.ExpirationTimestamp.Time}, nil
	case apierrors.IsNotFound(err):
		return nil, worker.Faultf(worker.ClassInvalid, "there is no service account %q in namespace %q to act as", s.of.Name, s.of.Namespace)
	case apierrors.IsForbidden(err):
		return nil, worker.Faultf(worker.ClassExecutor, "the worker may not act as service account %s: it needs the right to create serviceaccounts/token: %w", s.of, err)
	}
	return nil, fmt.Errorf("asking for a token of service account %s: %w", s.of, err)
}

// Labels of what is kept for runs.
const (
	labelOwner = "argosy.dev/owner" // ClusterConfig.Owner
	labelRun   = "argosy.dev/run"   // the run's uid
)

// anchor is the owner of a run's objects: as there is no object of the run in the cluster, a
// Lease stands for it, which goes when the run does. Kubernetes then deletes what it owns.
func (c *Cluster) anchor(ctx context.Context, run *workflow.Run) (metav1.OwnerReference, error) {
	leases := c.client.CoordinationV1().Leases(run.Namespace)
	name := "argosy-run-" + run.ID
	lease, err := leases.Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{labelOwner: c.cfg.Owner, labelRun: run.ID},
			Annotations: map[string]string{"workflows.argoproj.io/workflow": run.Name},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &run.Name},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		lease, err = leases.Get(ctx, name, metav1.GetOptions{})
	}
	if err != nil {
		return metav1.OwnerReference{}, err
	}
	return metav1.OwnerReference{APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Name: lease.Name, UID: lease.UID}, nil
}

// Sweep removes the anchors of runs that are gone, and with them what they own. An empty
// namespace means all.
func (c *Cluster) Sweep(ctx context.Context, namespace string, gone func(ctx context.Context, run string) (bool, error)) error {
	list, err := c.client.CoordinationV1().Leases(namespace).List(ctx, metav1.ListOptions{LabelSelector: labelOwner + "=" + c.cfg.Owner})
	if err != nil {
		return fmt.Errorf("listing the owners of runs' objects: %w", err)
	}
	var errs []error
	for i := range list.Items {
		lease := &list.Items[i]
		is, err := gone(ctx, lease.Labels[labelRun])
		if err == nil && is {
			err = c.client.CoordinationV1().Leases(lease.Namespace).Delete(ctx, lease.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &lease.UID}})
			if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
				err = nil
			}
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
