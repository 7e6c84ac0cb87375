package channel

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"os/exec"
	"path/filepath"
	"testing"
)

// openssl runs it on data, in the test's own words for "program is missing".
func openssl(t testing.TB, data []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(testCtx(t), "openssl", args...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %v: %v (Debian package openssl)", args, err)
	}
	return out
}

// Keys as OpenSSL encrypts them, the ways that it has besides its own included.
func TestEncryptedKeys(t *testing.T) {
	id := sign(t, nil, "x")
	plain := id.KeyPEM(t)
	rsa := openssl(t, nil, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
	rsaCert := openssl(t, rsa, "req", "-x509", "-new", "-key", "/dev/stdin", "-subj", "/CN=rsa", "-days", "2")
	const pass = "correct horse"
	encrypt := func(key []byte, args ...string) []byte {
		return openssl(t, key, append([]string{"pkcs8", "-topk8", "-passout", "pass:" + pass}, args...)...)
	}
	cut := func(text []byte, n int) []byte {
		b, _ := pem.Decode(text)
		return pem.EncodeToMemory(&pem.Block{Type: b.Type, Bytes: b.Bytes[:len(b.Bytes)-n]})
	}
	for _, test := range []struct {
		name     string
		key      []byte
		passFile string // "" is none
		want     string
	}{
		{"as by default", encrypt(plain), pass + "\n", ""},
		{"a passphrase without its newline", encrypt(plain), pass, ""},
		{"a passphrase of DOS", encrypt(plain), pass + "\r\nmore\n", ""},
		{"AES-128", encrypt(plain, "-v2", "aes-128-cbc"), pass, ""},
		{"AES-192", encrypt(plain, "-v2", "aes-192-cbc"), pass, ""},
		{"triple DES", encrypt(plain, "-v2", "des3"), pass, ""},
		{"SHA-1", encrypt(plain, "-v2prf", "hmacWithSHA1"), pass, ""},
		{"SHA-512", encrypt(plain, "-v2prf", "hmacWithSHA512"), pass, ""},
		{"many rounds", encrypt(plain, "-iter", "100000"), pass, ""},
		{"not at all", plain, pass, ""},
		{"RSA", encrypt(rsa), pass, ""},

		{"no passphrase", encrypt(plain), "", "passphrase_file"},
		{"a wrong passphrase", encrypt(plain), "wrong", "does not open the key"},
		{"an empty passphrase", encrypt(plain), "\n", "first line is empty"},
		{"scrypt", encrypt(plain, "-scrypt"), pass, "key derivation"},
		{"another cipher", encrypt(plain, "-v2", "camellia-256-cbc"), pass, "cipher"},
		{"an old scheme", encrypt(plain, "-v1", "PBE-SHA1-3DES"), pass, "scheme"},
		{"too many rounds", withRounds(t, encrypt(plain), maxIterations+1), pass, "rounds"},
		{"no rounds", withRounds(t, encrypt(plain), 0), pass, "rounds"},
		{"in the old way of PEM", openssl(t, rsa, "rsa", "-traditional", "-aes256", "-passout", "pass:"+pass), pass, "PKCS #8"},
		{"cut off", cut(encrypt(plain), 16), pass, "cannot be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cert := certPEM(id)
			if test.name == "RSA" {
				cert = rsaCert
			}
			dir := files(t, map[string][]byte{"c.pem": cert, "k.pem": test.key, "pass": []byte(test.passFile)})
			f := CredentialFiles{Cert: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "k.pem")}
			if test.passFile != "" {
				f.Passphrase = filepath.Join(dir, "pass")
			}
			c, err := LoadCredentials(f)
			loadsOrSays(t, c, err, test.want)
		})
	}
}

// withRounds is an encrypted key that asks for other rounds of its key derivation.
func withRounds(t *testing.T, text []byte, n int) []byte {
	t.Helper()
	var key encryptedKey
	var scheme pbes2Params
	var kdf pbkdf2Params
	block, _ := pem.Decode(text)
	read := func(der []byte, to any) {
		if err := unmarshalAll(der, to); err != nil {
			t.Fatal(err)
		}
	}
	written := func(from any) []byte {
		der, err := asn1.Marshal(from)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	read(block.Bytes, &key)
	read(key.Algorithm.Parameters.FullBytes, &scheme)
	read(scheme.KDF.Parameters.FullBytes, &kdf)
	kdf.Iterations = n
	scheme.KDF.Parameters.FullBytes = written(kdf)
	key.Algorithm.Parameters.FullBytes = written(scheme)
	return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: written(key)})
}

// Whatever is in a file, reading it ends with a key or an error.
func FuzzDecryptPKCS8(f *testing.F) {
	block, _ := pem.Decode(openssl(f, sign(f, nil, "x").KeyPEM(f), "pkcs8", "-topk8", "-passout", "pass:x", "-iter", "1"))
	f.Add(block.Bytes)
	for i := range block.Bytes { // what a bad disk makes of it
		bad := bytes.Clone(block.Bytes)
		bad[i] ^= 0x55
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		if plain, err := decryptPKCS8(der, []byte("x")); err == nil && len(plain) == 0 {
			t.Error("neither a key nor an error")
		}
	})
}
