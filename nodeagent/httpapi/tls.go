package httpapi

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	certutil "k8s.io/client-go/util/cert"
)

// TLSConfig is where the server's certificate and the clients' CA are. Files that change are read again.
type TLSConfig struct {
	// CertFile and KeyFile of the serving certificate; without them a self-signed one is made.
	CertFile, KeyFile string
	// ClientCA verifies client certificates (also Auth's); nil: none is asked for.
	ClientCA dynamiccertificates.CAContentProvider
	// IPs are added to a self-signed certificate.
	IPs []net.IP
}

// ClientCAFromFile returns the content of a CA file, read again when it changes.
func ClientCAFromFile(file string) (*dynamiccertificates.DynamicFileCAContent, error) {
	provider, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca-bundle", file)
	if err != nil {
		return nil, fmt.Errorf("reading the clients' CA: %w", err)
	}
	return provider, nil
}

// build returns a configuration that follows the files until ctx is done.
func (c TLSConfig) build(ctx context.Context, nodeName string) (*tls.Config, error) {
	serving, err := c.serving(nodeName)
	if err != nil {
		return nil, err
	}
	base := &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert, NextProtos: []string{"h2", "http/1.1"}}
	controller := dynamiccertificates.NewDynamicServingCertificateController(base, c.ClientCA, serving, nil, nil)
	serving.AddListener(controller)
	if c.ClientCA != nil {
		c.ClientCA.AddListener(controller)
		if runner, ok := c.ClientCA.(dynamiccertificates.ControllerRunner); ok {
			go runner.Run(ctx, 1)
		}
	}
	if runner, ok := serving.(dynamiccertificates.ControllerRunner); ok {
		go runner.Run(ctx, 1)
	}
	// Once before the first connection; after that in the background.
	if err := controller.RunOnce(); err != nil {
		return nil, fmt.Errorf("reading the serving certificate: %w", err)
	}
	go controller.Run(1, ctx.Done())
	config := base.Clone()
	config.GetConfigForClient = controller.GetConfigForClient
	return config, nil
}

type servingContent interface {
	dynamiccertificates.CertKeyContentProvider
	dynamiccertificates.Notifier
}

func (c TLSConfig) serving(nodeName string) (servingContent, error) {
	if c.CertFile != "" || c.KeyFile != "" {
		content, err := dynamiccertificates.NewDynamicServingContentFromFiles("serving-cert", c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading the serving certificate: %w", err)
		}
		return content, nil
	}
	certificate, key, err := certutil.GenerateSelfSignedCertKey(nodeName, c.IPs, nil)
	if err != nil {
		return nil, fmt.Errorf("making a self-signed serving certificate: %w", err)
	}
	content, err := dynamiccertificates.NewStaticCertKeyContent("self-signed", certificate, key)
	if err != nil {
		return nil, fmt.Errorf("using the self-signed serving certificate: %w", err)
	}
	return staticContent{content}, nil
}

// staticContent never notifies anybody.
type staticContent struct {
	dynamiccertificates.CertKeyContentProvider
}

func (staticContent) AddListener(dynamiccertificates.Listener) {}
