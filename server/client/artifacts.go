package client

import (
	"context"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// Artifact reads an output artifact of a node as it is stored; packed says that it is a directory,
// as tar and gzip.
func (c *Client) Artifact(ctx context.Context, namespace, name, node, artifact string) (in io.ReadCloser, packed bool, err error) {
	at := "/artifacts"
	for _, part := range []string{namespace, name, node, artifact} {
		at += "/" + url.PathEscape(part)
	}
	res, err := c.send(ctx, http.MethodGet, at, nil, nil, "*/*")
	if err != nil {
		return nil, false, err
	}
	_, params, _ := mime.ParseMediaType(res.Header.Get("Content-Disposition")) // Argo's is none
	return res.Body, strings.HasSuffix(params["filename"], ".tgz"), nil
}
