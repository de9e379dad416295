// Package git fetches artifacts that are checkouts of git repositories. It reads https, http
// and ssh; what a repository or one of its submodules names on this machine is not looked at.
//
// go-git finds its transports by scheme, for the whole process: the ones set here connect as
// the context of each fetch says, and refuse to connect without one.
package git

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/client"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
)

// Dial connects to an address that a repository names, or refuses to.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Repository is what to fetch, and as whom.
type Repository struct {
	URL      string
	Revision string // a branch, tag or commit, or such as HEAD~1; "" is the remote's HEAD
	Depth    int
	Fetch    []string // refspecs to fetch before the checkout
	// Branch alone is fetched.
	Branch       string
	SingleBranch bool
	NoSubmodules bool

	User, Password string
	PrivateKey     []byte // of ssh
	AnyHostKey     bool   // ssh hosts may have any key; otherwise known_hosts has theirs
	AnyCertificate bool   // https servers may have any certificate

	Dial Dial
	// Check says whether a resolved address may be reached, for connections that Dial does not
	// make: those over ssh.
	Check func(ctx context.Context, address string) error
}

type dialKey struct{}

var installed sync.Once //nolint:gochecknoglobals // go-git's table of transports is one for the process

func install() {
	installed.Do(func() {
		guarded := &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				dial, ok := ctx.Value(dialKey{}).(Dial)
				if !ok {
					return nil, errors.New("nobody said how to connect")
				}
				return dial(ctx, network, address)
			},
			DisableKeepAlives:     true, // a connection is one repository's
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: 5 * time.Minute,
		}}
		for _, scheme := range []string{"http", "https"} {
			client.InstallProtocol(scheme, githttp.NewClient(guarded))
		}
		for _, scheme := range []string{"file", "git"} {
			client.InstallProtocol(scheme, nil) // removes it
		}
	})
}

// Checkout fetches the repository into an empty directory.
func Checkout(ctx context.Context, r *Repository, dir string) error {
	install()
	ctx = context.WithValue(ctx, dialKey{}, r.Dial)
	if err := r.checkout(ctx, dir); err != nil {
		return fmt.Errorf("fetching git repository %s: %w", redacted(r.URL), err)
	}
	return nil
}

// redacted is a URL without what should not be told.
func redacted(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Redacted()
	}
	return text
}

func (r *Repository) checkout(ctx context.Context, dir string) error {
	endpoint, auth, err := r.endpoint(ctx)
	if err != nil {
		return err
	}
	options := &git.CloneOptions{
		URL: endpoint, Auth: auth, Depth: r.Depth, SingleBranch: r.SingleBranch, NoCheckout: true, InsecureSkipTLS: r.AnyCertificate,
	}
	if r.SingleBranch {
		if r.Branch == "" {
			return errors.New("singleBranch needs a branch")
		}
		options.ReferenceName = plumbing.NewBranchReferenceName(r.Branch)
	}
	repo, err := git.PlainCloneContext(ctx, dir, false, options)
	if err != nil {
		return err
	}
	if len(r.Fetch) > 0 {
		fetch := &git.FetchOptions{Auth: auth, Depth: r.Depth, InsecureSkipTLS: r.AnyCertificate}
		for _, spec := range r.Fetch {
			fetch.RefSpecs = append(fetch.RefSpecs, config.RefSpec(spec))
		}
		if err := fetch.Validate(); err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
		if err := repo.FetchContext(ctx, fetch); err != nil && !errors.Is(err, git.NoErrAlreadyUpToDate) {
			return fmt.Errorf("fetch: %w", err)
		}
	}
	tree, err := repo.Worktree()
	if err != nil {
		return err
	}
	at := &git.CheckoutOptions{}
	if r.Revision != "" {
		if at, err = resolve(repo, r.Revision); err != nil {
			return err
		}
	} else if head, err := repo.Head(); err == nil {
		at.Branch = head.Name()
	}
	if err := tree.Checkout(at); err != nil {
		return fmt.Errorf("checking %s out: %w", r.Revision, err)
	}
	if r.NoSubmodules {
		return nil
	}
	return r.submodules(ctx, tree, auth, 0)
}

// resolve finds a revision: the remote's branches count as branches here, as for git checkout.
func resolve(repo *git.Repository, revision string) (*git.CheckoutOptions, error) {
	if remote, err := repo.Reference(plumbing.NewRemoteReferenceName(git.DefaultRemoteName, revision), true); err == nil {
		branch := plumbing.NewBranchReferenceName(revision)
		_, err := repo.Reference(branch, false)
		return &git.CheckoutOptions{Hash: hashIf(err != nil, remote.Hash()), Branch: branch, Create: err != nil}, nil
	}
	for _, name := range []string{revision, "refs/remotes/origin/" + revision} {
		if hash, err := repo.ResolveRevision(plumbing.Revision(name)); err == nil {
			return &git.CheckoutOptions{Hash: *hash}, nil
		}
	}
	return nil, fmt.Errorf("revision %q is not in the repository", revision)
}

func hashIf(yes bool, hash plumbing.Hash) (none plumbing.Hash) {
	if yes {
		return hash
	}
	return none
}

const maxSubmodules = 10 // deep, as git.DefaultSubmoduleRecursionDepth

// submodules fetches those of a checkout, and theirs. They may be reached over http or https
// only: nobody vetted where else they lead.
func (r *Repository) submodules(ctx context.Context, tree *git.Worktree, auth transport.AuthMethod, depth int) error {
	modules, err := tree.Submodules()
	if err != nil {
		return fmt.Errorf("reading submodules: %w", err)
	}
	for _, m := range modules {
		c := m.Config()
		fail := func(err error) error { return fmt.Errorf("submodule %s: %w", c.Name, err) }
		if depth == maxSubmodules {
			return fail(errors.New("submodules are nested too deeply"))
		}
		relative := strings.HasPrefix(c.URL, "./") || strings.HasPrefix(c.URL, "../")
		if !relative && !strings.HasPrefix(c.URL, "https://") && !strings.HasPrefix(c.URL, "http://") {
			return fail(fmt.Errorf("%s is neither https nor http; disableSubmodules leaves it out", redacted(c.URL)))
		}
		update := &git.SubmoduleUpdateOptions{Init: true, Depth: r.Depth}
		if relative { // others do not get this one's password
			update.Auth = auth
		}
		if err := m.UpdateContext(ctx, update); err != nil {
			return fail(err)
		}
		repo, err := m.Repository()
		if err != nil {
			return fail(err)
		}
		below, err := repo.Worktree()
		if err != nil {
			return fail(err)
		}
		if err := r.submodules(ctx, below, update.Auth, depth+1); err != nil {
			return fail(err)
		}
	}
	return nil
}

// endpoint is where the repository is, and how to say who asks.
func (r *Repository) endpoint(ctx context.Context) (string, transport.AuthMethod, error) {
	e, err := transport.NewEndpoint(r.URL)
	if err != nil {
		return "", nil, err
	}
	switch e.Protocol {
	case "https", "http":
		if r.User == "" && r.Password == "" {
			return r.URL, nil, nil
		}
		return r.URL, &githttp.BasicAuth{Username: r.User, Password: r.Password}, nil
	case "ssh":
		return r.overSSH(ctx, e)
	}
	return "", nil, fmt.Errorf("%s is not supported: use https, http or ssh", e.Protocol)
}

// overSSH resolves the host here, so that what was checked is what is connected to.
func (r *Repository) overSSH(ctx context.Context, e *transport.Endpoint) (string, transport.AuthMethod, error) {
	if len(r.PrivateKey) == 0 {
		return "", nil, errors.New("ssh needs a sshPrivateKeySecret")
	}
	user := e.User
	if user == "" {
		user = "git"
	}
	auth, err := gitssh.NewPublicKeys(user, r.PrivateKey, "")
	if err != nil {
		return "", nil, fmt.Errorf("reading the private key: %w", err)
	}
	port := e.Port
	if port == 0 {
		port = gitssh.DefaultPort
	}
	asked := net.JoinHostPort(e.Host, fmt.Sprint(port))
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", e.Host)
	if err != nil {
		return "", nil, err
	}
	e.Host, e.Port = ips[0].Unmap().String(), port
	if err := r.Check(ctx, net.JoinHostPort(e.Host, fmt.Sprint(port))); err != nil {
		return "", nil, err
	}
	if r.AnyHostKey {
		auth.HostKeyCallback = ssh.InsecureIgnoreHostKey() //nolint:gosec // the workflow's own choice
		return e.String(), auth, nil
	}
	known, err := gitssh.NewKnownHostsCallback()
	if err != nil {
		return "", nil, fmt.Errorf("reading the known_hosts that ssh needs unless insecureIgnoreHostKey is set: %w", err)
	}
	auth.HostKeyCallback = func(_ string, remote net.Addr, key ssh.PublicKey) error { return known(asked, remote, key) }
	return e.String(), auth, nil
}
