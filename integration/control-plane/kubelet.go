package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// What a kubelet waits for streams, and for anything on them (see
// k8s.io/kubernetes/pkg/kubelet/server).
const (
	streamIdleTimeout     = 4 * time.Hour
	streamCreationTimeout = 30 * time.Second
)

// kubelet answers what kube-apiserver asks of a kubelet for exec, attach,
// port-forward and logs. Its pods run nothing: see container.
type kubelet struct {
	port        int
	certificate string
	key         string
	clientCA    string
	client      string
	container   container
}

// newKubeletStandInCommand makes the command that runs it.
func newKubeletStandInCommand() *cobra.Command {
	k := &kubelet{}
	command := &cobra.Command{
		Use:          "kubelet-stand-in",
		Short:        "Answers as a kubelet does, for exec, attach, port-forward and logs",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE:         func(*cobra.Command, []string) error { return k.run() },
	}
	flags := command.Flags()
	flags.IntVar(&k.port, "port", 0, "the port to listen on, on 127.0.0.1")
	flags.StringVar(&k.certificate, "tls-cert-file", "", "its own certificate")
	flags.StringVar(&k.key, "tls-private-key-file", "", "its own key")
	flags.StringVar(&k.clientCA, "client-ca-file", "", "who may sign a client's certificate")
	flags.StringVar(&k.client, "client-name", "", "the common name that a client must have")
	flags.DurationVar(&k.container.logInterval, "log-interval", time.Second,
		"how long a log that is followed stays quiet between lines")
	return command
}

func (k *kubelet) run() error {
	authorities := x509.NewCertPool()
	text, err := os.ReadFile(k.clientCA)
	if err != nil {
		return err
	}
	if !authorities.AppendCertsFromPEM(text) {
		return fmt.Errorf("no certificate in %s", k.clientCA)
	}
	server := &http.Server{
		Addr:    fmt.Sprintf("127.0.0.1:%d", k.port),
		Handler: k.handler(),
		TLSConfig: &tls.Config{
			ClientAuth:       tls.RequireAndVerifyClientCert,
			ClientCAs:        authorities,
			VerifyConnection: k.verify,
		},
	}
	return server.ListenAndServeTLS(k.certificate, k.key)
}

// verify lets in the API servers only: exec in any pod is at stake.
func (k *kubelet) verify(connection tls.ConnectionState) error {
	name := connection.PeerCertificates[0].Subject.CommonName
	if name != k.client {
		return errors.New("the client is not the API server: " + name)
	}
	return nil
}

func (k *kubelet) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", k.exec)
	mux.HandleFunc("/attach/{namespace}/{pod}/{container}", k.attach)
	mux.HandleFunc("/portForward/{namespace}/{pod}", k.portForward)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.logs)
	return mux
}

func (k *kubelet) exec(w http.ResponseWriter, r *http.Request) {
	options, err := newStreamOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	serveExec(w, r, k.container, r.PathValue("pod"), "", r.PathValue("container"),
		r.URL.Query()["command"], options, streamIdleTimeout, streamCreationTimeout, streamProtocols)
}

func (k *kubelet) attach(w http.ResponseWriter, r *http.Request) {
	options, err := newStreamOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	serveAttach(w, r, k.container, r.PathValue("pod"), "", r.PathValue("container"),
		options, streamIdleTimeout, streamCreationTimeout, streamProtocols)
}

func (k *kubelet) portForward(w http.ResponseWriter, r *http.Request) {
	options, err := newPortForwardOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	servePortForward(w, r, k.container, r.PathValue("pod"), "",
		options, streamIdleTimeout, streamCreationTimeout, portForwardProtocols)
}

func (k *kubelet) logs(w http.ResponseWriter, r *http.Request) {
	// As a kubelet does: the length is not known, and nothing is held back.
	w.Header().Set("Transfer-Encoding", "chunked")
	k.container.writeLog(r.Context(), w, r.URL.Query().Get("follow") == "true")
}
