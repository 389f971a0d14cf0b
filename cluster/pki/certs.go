package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"slices"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// backdate lets certificates be valid on machines whose clock is a little late.
const backdate = 5 * time.Minute

// authority is a CA that can sign.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
}

// request is what a leaf certificate must say.
type request struct {
	user   string
	groups []string
	usages []x509.ExtKeyUsage
	names  []string
	ips    []net.IP
}

// authority loads a CA or, if neither of its files exists, makes it.
func (k *keeper) authority(files Pair, name string) (*authority, error) {
	certExists, err := exists(files.Cert)
	if err != nil {
		return nil, err
	}
	keyExists, err := exists(files.Key)
	if err != nil {
		return nil, err
	}
	switch {
	case certExists && keyExists:
		return k.loadAuthority(files)
	case certExists:
		return nil, fmt.Errorf("%s exists but its key %s does not; put the key back, or remove both to start a new CA", files.Cert, files.Key)
	case keyExists && !k.interrupted():
		return nil, fmt.Errorf("%s exists but its certificate %s does not; put the certificate back, or remove both to start a new CA", files.Key, files.Cert)
	}
	return k.newAuthority(files, name)
}

// interrupted reports whether the first run in this folder was killed before it
// signed anything; what it left of a CA nobody has ever trusted.
func (k *keeper) interrupted() bool {
	for _, path := range []string{k.files.APIServer.Cert, k.files.FrontProxyClient.Cert, k.files.Admin} {
		if found, err := exists(path); err != nil || found {
			return false
		}
	}
	return true
}

func (k *keeper) loadAuthority(files Pair) (*authority, error) {
	certificate, key, err := loadPair(files)
	if err != nil {
		return nil, err
	}
	if !certificate.IsCA {
		return nil, fmt.Errorf("%s is not a CA certificate", files.Cert)
	}
	if now := k.cfg.Clock.Now(); now.After(certificate.NotAfter) {
		return nil, fmt.Errorf("the CA certificate %s has expired on %s", files.Cert, certificate.NotAfter.Format(time.RFC3339))
	}
	pem, err := os.ReadFile(files.Cert)
	if err != nil {
		return nil, err
	}
	return &authority{cert: certificate, key: key, pem: pem}, nil
}

func (k *keeper) newAuthority(files Pair, name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of CA %s: %w", name, err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := k.cfg.Clock.Now()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		DNSNames:              []string{name},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(k.cfg.CALife),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing CA %s: %w", name, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parsing the new CA %s: %w", name, err)
	}
	certPEM, keyPEM, err := encodePair(certificate, key)
	if err != nil {
		return nil, err
	}
	return &authority{cert: certificate, key: key, pem: certPEM}, k.writePair(files, certPEM, keyPEM)
}

// leaf keeps one certificate and its key.
func (k *keeper) leaf(files Pair, by *authority, want request) error {
	certExists, err := exists(files.Cert)
	if err != nil {
		return err
	}
	keyExists, err := exists(files.Key)
	if err != nil {
		return err
	}
	if certExists && keyExists {
		current, _, err := loadPair(files)
		if err != nil {
			return err
		}
		if k.stillGood(current, by, want) {
			return nil
		}
	}
	certPEM, keyPEM, err := k.sign(by, want)
	if err != nil {
		return fmt.Errorf("making %s: %w", files.Cert, err)
	}
	return k.writePair(files, certPEM, keyPEM)
}

// stillGood reports whether a certificate says what is wanted, was signed by the
// authority, and has more than a third of its life left.
func (k *keeper) stillGood(c *x509.Certificate, by *authority, want request) bool {
	now := k.cfg.Clock.Now()
	life := c.NotAfter.Sub(c.NotBefore)
	if now.Before(c.NotBefore) || c.NotAfter.Sub(now) < life/3 {
		return false
	}
	if c.CheckSignatureFrom(by.cert) != nil || c.Subject.CommonName != want.user {
		return false
	}
	if !slices.Equal(c.Subject.Organization, want.groups) || !slices.Equal(c.ExtKeyUsage, want.usages) {
		return false
	}
	// More names than wanted do no harm: an address may come back.
	for _, name := range want.names {
		if !slices.Contains(c.DNSNames, name) {
			return false
		}
	}
	for _, ip := range want.ips {
		if !slices.ContainsFunc(c.IPAddresses, ip.Equal) {
			return false
		}
	}
	return true
}

// sign makes a key and a certificate for it.
func (k *keeper) sign(by *authority, want request) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	now := k.cfg.Clock.Now()
	until := now.Add(k.cfg.LeafLife)
	if until.After(by.cert.NotAfter) {
		until = by.cert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: want.user, Organization: want.groups},
		NotBefore:             now.Add(-backdate),
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           want.usages,
		BasicConstraintsValid: true,
		DNSNames:              want.names,
		IPAddresses:           want.ips,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		return nil, nil, fmt.Errorf("signing: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("parsing a new certificate: %w", err)
	}
	return encodePair(certificate, key)
}

// serviceAccountKey makes the key pair that signs service account tokens, or
// restores the public half.
func (k *keeper) serviceAccountKey() error {
	keyExists, err := exists(k.files.ServiceAccountKey)
	if err != nil {
		return err
	}
	pubExists, err := exists(k.files.ServiceAccountPub)
	if err != nil {
		return err
	}
	switch {
	case keyExists:
		private, err := keyutil.PrivateKeyFromFile(k.files.ServiceAccountKey)
		if err != nil {
			return fmt.Errorf("reading the service account key %s: %w", k.files.ServiceAccountKey, err)
		}
		if pubExists {
			if _, err := keyutil.PublicKeysFromFile(k.files.ServiceAccountPub); err != nil {
				return fmt.Errorf("reading the service account key %s: %w", k.files.ServiceAccountPub, err)
			}
			return nil
		}
		signer, ok := private.(crypto.Signer)
		if !ok {
			return fmt.Errorf("%s holds a %T, which cannot sign", k.files.ServiceAccountKey, private)
		}
		return k.writePublic(signer.Public())
	case pubExists:
		return fmt.Errorf("%s exists but %s does not; put the key back, or remove both to start with a new one", k.files.ServiceAccountPub, k.files.ServiceAccountKey)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making the service account key: %w", err)
	}
	pem, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return fmt.Errorf("encoding the service account key: %w", err)
	}
	if err := k.write(k.files.ServiceAccountKey, pem, 0o600); err != nil {
		return err
	}
	return k.writePublic(key.Public())
}

func loadPair(files Pair) (*x509.Certificate, crypto.Signer, error) {
	certs, err := cert.CertsFromFile(files.Cert)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the certificate %s: %w", files.Cert, err)
	}
	private, err := keyutil.PrivateKeyFromFile(files.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the key %s: %w", files.Key, err)
	}
	key, ok := private.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("%s holds a %T, which cannot sign", files.Key, private)
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(certs[0].PublicKey) {
		return nil, nil, fmt.Errorf("the key %s does not belong to the certificate %s", files.Key, files.Cert)
	}
	return certs[0], key, nil
}

func encodePair(certificate *x509.Certificate, key crypto.Signer) (certPEM, keyPEM []byte, err error) {
	if certPEM, err = cert.EncodeCertificates(certificate); err != nil {
		return nil, nil, fmt.Errorf("encoding a certificate: %w", err)
	}
	if keyPEM, err = keyutil.MarshalPrivateKeyToPEM(key); err != nil {
		return nil, nil, fmt.Errorf("encoding a key: %w", err)
	}
	return certPEM, keyPEM, nil
}

func newSerial() (*big.Int, error) {
	// 127 bits: positive, and never to be met twice.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}

func exists(path string) (bool, error) {
	switch _, err := os.Stat(path); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, fmt.Errorf("looking for %s: %w", path, err)
	}
}
