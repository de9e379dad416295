package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStepPodsReachWorkersByTLSUnlessTheirAddressesSayOtherwise(t *testing.T) {
	t.Parallel()
	const local = "10.0.0.1:8080"
	for name, tt := range map[string]struct{ gateway, own, wantGateway, wantOwn, wantErr string }{
		"nothing said":          {wantGateway: "https://10.0.0.1:8080", wantOwn: "https://10.0.0.1:8080"},
		"a Service":             {gateway: "https://gateway:8080", wantGateway: "https://gateway:8080", wantOwn: "https://10.0.0.1:8080"},
		"a Service without TLS": {gateway: "http://gateway:8080", wantGateway: "http://gateway:8080", wantOwn: "http://10.0.0.1:8080"},
		"its own":               {own: "https://worker:1", wantGateway: "https://worker:1", wantOwn: "https://worker:1"},
		"without TLS":           {gateway: "http://gateway:8080", own: "http://worker:1", wantGateway: "http://gateway:8080", wantOwn: "http://worker:1"},
		"both":                  {gateway: "https://gateway:8080", own: "http://worker:1", wantErr: "--worker-url"},
		"both, by turns":        {gateway: "http://gateway:8080", own: "https://worker:1", wantErr: "--worker-url"},
		"one alone without":     {own: "http://worker:1", wantErr: "give https://host:port, or http in both --gateway-url and --worker-url"},
		"no scheme":             {gateway: "gateway:8080", wantErr: "--gateway-url"},
		"no host":               {gateway: "https://", wantErr: "--gateway-url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gateway, own, err := gatewayAddresses(tt.gateway, tt.own, local)
			if tt.wantErr != "" {
				require.ErrorContains(t, err, tt.wantErr)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []string{tt.wantGateway, tt.wantOwn}, []string{gateway, own})
		})
	}
}
