package pki

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
)

// writePair replaces both files of a pair. The old certificate goes first: a
// crash then leaves a pair without certificate, which the next run makes anew,
// and never a certificate with a key that does not fit.
func (k *keeper) writePair(files Pair, certPEM, keyPEM []byte) error {
	if err := os.Remove(files.Cert); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("replacing %s: %w", files.Cert, err)
	}
	if err := k.write(files.Key, keyPEM, 0o600); err != nil {
		return err
	}
	return k.write(files.Cert, certPEM, 0o644)
}

func (k *keeper) writePublic(key crypto.PublicKey) error {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return fmt.Errorf("encoding the public service account key: %w", err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return k.write(k.files.ServiceAccountPub, data, 0o644)
}

func (k *keeper) write(path string, data []byte, mode os.FileMode) error {
	if err := writeFile(path, data, mode); err != nil {
		return err
	}
	k.changed(path)
	return nil
}

// writeFile replaces a file in one step: readers and crashes see the old content
// or the new.
func writeFile(path string, data []byte, mode os.FileMode) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	if err = tmp.Chmod(mode); err != nil {
		return err
	}
	if _, err = tmp.Write(data); err != nil {
		return err
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// syncDir makes the renames in a folder last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", dir, err)
	}
	return nil
}
