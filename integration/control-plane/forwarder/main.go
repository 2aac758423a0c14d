// Command forwarder is a stand-in for a kubelet that forwards ports: to the port of the same number on
// loopback, where the test runs what would run in the pod. It is a program of its own, so that the control
// planes are not built anew when it changes.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
)

// What a kubelet waits for streams, and for anything on them (see
// k8s.io/kubernetes/pkg/kubelet/server).
const (
	idleTimeout     = 4 * time.Hour
	creationTimeout = 30 * time.Second
)

// loopback forwards to this machine.
type loopback struct{}

// PortForward copies in both directions until one side has ended.
func (loopback) PortForward(ctx context.Context, _ string, _ string, port int32, stream io.ReadWriteCloser) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	defer connection.Close()
	done := make(chan error, 2)
	go func() {
		_, err := io.Copy(connection, stream)
		done <- err
	}()
	go func() {
		_, err := io.Copy(stream, connection)
		done <- err
	}()
	return <-done
}

func main() {
	port := flag.Int("port", 0, "the port to listen on, on 127.0.0.1")
	certificate := flag.String("tls-cert-file", "", "its own certificate")
	key := flag.String("tls-private-key-file", "", "its own key")
	authority := flag.String("client-ca-file", "", "who may sign a client's certificate")
	client := flag.String("client-name", "", "the common name that a client must have")
	flag.Parse()

	authorities := x509.NewCertPool()
	text, err := os.ReadFile(*authority)
	if err != nil {
		log.Fatal(err)
	}
	if !authorities.AppendCertsFromPEM(text) {
		log.Fatalf("no certificate in %s", *authority)
	}
	server := &http.Server{
		Addr:    fmt.Sprintf("127.0.0.1:%d", *port),
		Handler: handler(),
		TLSConfig: &tls.Config{
			ClientAuth: tls.RequireAndVerifyClientCert,
			ClientCAs:  authorities,
			VerifyConnection: func(connection tls.ConnectionState) error {
				if name := connection.PeerCertificates[0].Subject.CommonName; name != *client {
					return errors.New("the client is not the API server: " + name)
				}
				return nil
			},
		},
	}
	log.Fatal(server.ListenAndServeTLS(*certificate, *key))
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/portForward/{namespace}/{pod}", func(w http.ResponseWriter, r *http.Request) {
		options, err := portforward.NewV4Options(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		portforward.ServePortForward(w, r, loopback{}, r.PathValue("pod"), "",
			options, idleTimeout, creationTimeout, portforward.SupportedProtocols)
	})
	return mux
}
