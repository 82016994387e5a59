// Package notices moves headers that forwardAuth has put into a request to its
// response.
package notices

import (
	"context"
	"net/http"
	"strings"
)

// Config names the headers.
type Config struct {
	Headers []string `json:"headers,omitempty"`
}

// CreateConfig names none.
func CreateConfig() *Config {
	return &Config{}
}

type notices struct {
	headers []string
	next    http.Handler
}

// New is called by Traefik for each router.
func New(_ context.Context, next http.Handler, config *Config, _ string) (http.Handler, error) {
	return &notices{headers: config.Headers, next: next}, nil
}

func (n *notices) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	for _, name := range n.headers {
		if values := request.Header.Values(name); len(values) > 0 {
			// Not in the form that Go gives the names of the API's headers, so
			// that `strip-token` removes those alone.
			response.Header()[strings.ToLower(name)] = values
		}
		request.Header.Del(name)
	}
	n.next.ServeHTTP(response, request)
}
