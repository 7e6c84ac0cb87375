package channel

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
)

// The parts of an encrypted private key: EncryptedPrivateKeyInfo (RFC 5958 §3),
// and the parameters of PBES2 and PBKDF2 (RFC 8018, appendix A).
type (
	encryptedKey struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	pbes2Params struct{ KDF, Cipher pkix.AlgorithmIdentifier }

	pbkdf2Params struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
)

// pbkdf2Hashes are those of the HMAC that is PBKDF2's function, by its identifier.
var pbkdf2Hashes = map[string]func() hash.Hash{
	"":                    sha1.New, // the default
	"1.2.840.113549.2.7":  sha1.New,
	"1.2.840.113549.2.8":  sha256.New224,
	"1.2.840.113549.2.9":  sha256.New,
	"1.2.840.113549.2.10": sha512.New384,
	"1.2.840.113549.2.11": sha512.New,
}

// A pbes2Cipher is a block cipher that PBES2 uses in CBC.
type pbes2Cipher struct {
	key int // bytes
	new func([]byte) (cipher.Block, error)
}

var pbes2Ciphers = map[string]pbes2Cipher{
	"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
	"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
	"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
	"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
}

// maxIterations is what a key file may ask for: some seconds of work.
const maxIterations = 10_000_000

// errKeyForm is the error of a key that is encrypted in another way.
func errKeyForm(what string) error {
	return fmt.Errorf("it is encrypted with %s; write it anew with PBES2, PBKDF2 and AES (openssl pkcs8 -topk8 -v2 aes-256-cbc -in … -out …)", what)
}

// decryptPKCS8 returns the PrivateKeyInfo in an EncryptedPrivateKeyInfo. It knows
// what OpenSSL and GnuTLS write by default, and what else is PBES2 with PBKDF2.
func decryptPKCS8(der, passphrase []byte) ([]byte, error) {
	var key encryptedKey
	if err := unmarshalAll(der, &key); err != nil {
		return nil, err
	}
	if !key.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, errKeyForm("an old or unusual scheme (" + key.Algorithm.Algorithm.String() + ")")
	}
	var scheme pbes2Params
	if err := unmarshalAll(key.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, err
	}
	if !scheme.KDF.Algorithm.Equal(oidPBKDF2) {
		return nil, errKeyForm("an unusual key derivation (" + scheme.KDF.Algorithm.String() + ")")
	}
	var kdf pbkdf2Params
	if err := unmarshalAll(scheme.KDF.Parameters.FullBytes, &kdf); err != nil {
		return nil, err
	}
	newHash := pbkdf2Hashes[kdf.PRF.Algorithm.String()]
	c, known := pbes2Ciphers[scheme.Cipher.Algorithm.String()]
	switch {
	case newHash == nil:
		return nil, errKeyForm("an unusual hash (" + kdf.PRF.Algorithm.String() + ")")
	case !known:
		return nil, errKeyForm("an unusual cipher (" + scheme.Cipher.Algorithm.String() + ")")
	case kdf.Iterations < 1 || kdf.Iterations > maxIterations:
		return nil, fmt.Errorf("its key derivation asks for %d rounds, want 1 to %d", kdf.Iterations, maxIterations)
	case kdf.KeyLength != 0 && kdf.KeyLength != c.key:
		return nil, errKeyForm("a key of an unusual length")
	}
	var iv []byte
	if err := unmarshalAll(scheme.Cipher.Parameters.FullBytes, &iv); err != nil {
		return nil, err
	}
	secret, err := pbkdf2.Key(newHash, string(passphrase), kdf.Salt, kdf.Iterations, c.key)
	if err != nil {
		return nil, fmt.Errorf("key derivation: %w", err)
	}
	block, err := c.new(secret)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size || len(key.Data) == 0 || len(key.Data)%size != 0 {
		return nil, errors.New("the encrypted key is damaged")
	}
	plain := make([]byte, len(key.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, key.Data)
	// With the wrong passphrase the padding (RFC 8018 §6.1.1) is right once in
	// 256 times, and what is left is no key then.
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > size {
		return nil, errPassphrase
	}
	plain = plain[:len(plain)-pad]
	if _, err := x509.ParsePKCS8PrivateKey(plain); err != nil {
		return nil, errPassphrase
	}
	return plain, nil
}

var errPassphrase = errors.New("the passphrase in it does not open the key")

// unmarshalAll reads DER of which nothing may be left over.
func unmarshalAll(der []byte, to any) error {
	rest, err := asn1.Unmarshal(der, to)
	if err == nil && len(rest) > 0 {
		err = errors.New("data behind it")
	}
	if err != nil {
		return fmt.Errorf("the encrypted key cannot be read: %w", err)
	}
	return nil
}
