package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/memfs"
	"github.com/go-git/go-billy/v5/util"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/memory"
)

// bump puts an image's tag into a file of a git repository, as GIT_USER with GIT_PASSWORD.
func bump(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bump", flag.ContinueOnError)
	url := flags.String("repo", "", "the repository")
	file := flags.String("file", "", "the file in it")
	image := flags.String("image", "", "the image with its new tag")
	if err := flags.Parse(args); err != nil {
		return err
	}
	i := strings.LastIndex(*image, ":")
	if i < 0 {
		return fmt.Errorf("image %q has no tag", *image)
	}
	var auth transport.AuthMethod
	if user := os.Getenv("GIT_USER"); user != "" {
		auth = &githttp.BasicAuth{Username: user, Password: os.Getenv("GIT_PASSWORD")}
	}
	work := memfs.New()
	repo, err := git.CloneContext(ctx, memory.NewStorage(), work, &git.CloneOptions{URL: *url, Auth: auth})
	if err != nil {
		return fmt.Errorf("cloning %s: %w", *url, err)
	}
	before, err := util.ReadFile(work, *file)
	if err != nil {
		return fmt.Errorf("reading %s: %w", *file, err)
	}
	known := regexp.MustCompile(`(image:\s*)` + regexp.QuoteMeta((*image)[:i]) + `:\S+`)
	if !known.Match(before) {
		return fmt.Errorf("%s does not use the image %s", *file, (*image)[:i])
	}
	if err := util.WriteFile(work, *file, known.ReplaceAll(before, []byte("${1}"+*image)), 0o644); err != nil {
		return err
	}
	tree, err := repo.Worktree()
	if err == nil {
		_, err = tree.Add(*file)
	}
	if err != nil {
		return err
	}
	commit, err := tree.Commit("deploy "+*image, &git.CommitOptions{Author: &object.Signature{Name: "ci", Email: "ci@example.com", When: time.Now()}})
	if errors.Is(err, git.ErrEmptyCommit) {
		fmt.Fprintln(out, "it is there already")
		return nil
	}
	if err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	if err := repo.PushContext(ctx, &git.PushOptions{Auth: auth}); err != nil {
		return fmt.Errorf("pushing: %w", err)
	}
	fmt.Fprintf(out, "%s has %s in %s\n", commit, *image, *file)
	return nil
}
