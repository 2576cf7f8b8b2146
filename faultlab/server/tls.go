//go:build linux

package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/go-sql-driver/mysql"

	"herz.example/herz/faultlab/owner"
)

// validFor is how long a certificate is valid: longer than any run.
const validFor = 48 * time.Hour

// paper is what proves who a server is.
type paper struct {
	authority, certificate, key string // files
	pool                        *x509.CertPool
	name                        string // of the configuration that go-sql-driver/mysql knows
}

// CA is the authority that signed the certificate of a server with TLS; nil without.
func (s *Server) CA() *x509.CertPool {
	if s.paper == nil {
		return nil
	}
	return s.paper.pool
}

// CAFile is the same as a PEM file, for sslrootcert of pgx and lib/pq; empty without TLS.
func (s *Server) CAFile() string {
	if s.paper == nil {
		return ""
	}
	return s.paper.authority
}

// TLSConfig is what a client needs to verify the server; nil without TLS. Its ServerName is empty: clients set the host that they dial.
func (s *Server) TLSConfig() *tls.Config {
	if s.paper == nil {
		return nil
	}
	return &tls.Config{RootCAs: s.paper.pool, MinVersion: tls.VersionTLS12}
}

// TLSName is the name of that configuration for go-sql-driver/mysql, as in tls=NAME; empty without TLS.
func (s *Server) TLSName() string {
	if s.paper == nil {
		return ""
	}
	return s.paper.name
}

// certify makes an authority and a certificate of the server.
func (s *Server) certify() error {
	in := func(name string) string { return filepath.Join(s.dir, name) }
	p := &paper{
		authority: in("ca.pem"), certificate: in("server.pem"), key: in("server.key"),
		pool: x509.NewCertPool(), name: owner.Name(fmt.Sprintf("tls%d", owner.Next())),
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := s.statement(1, "Herz fault lab "+p.name)
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	leaf := s.statement(2, s.Kind.String())
	leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range append([]string{s.opt.IP, "127.0.0.1"}, s.opt.Names...) {
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, name)
		}
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := errors.Join(
		s.write(p.authority, "CERTIFICATE", caDER),
		s.write(p.certificate, "CERTIFICATE", leafDER),
		s.write(p.key, "PRIVATE KEY", keyDER),
	); err != nil {
		return err
	}
	parsed, err := x509.ParseCertificate(caDER)
	if err != nil {
		return err
	}
	p.pool.AddCert(parsed)
	s.paper = p
	return mysql.RegisterTLSConfig(p.name, s.TLSConfig())
}

func (s *Server) decertify() {
	if s.paper != nil {
		mysql.DeregisterTLSConfig(s.paper.name)
	}
}

func (s *Server) statement(serial int64, name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(validFor),
	}
}

// write puts a file into the server's folder that only its account reads: PostgreSQL refuses a key that others may read.
func (s *Server) write(path, kind string, der []byte) error {
	return s.account.own(path, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}
