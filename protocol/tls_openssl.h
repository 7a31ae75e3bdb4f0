// OpenSSL's objects with an owner, and its error queue as text. Only for the .cpp files of tls and
// scram: no other part of homefs sees OpenSSL.
//
// Executor: thread-safe (the error queue is per thread). Blocks: never.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace homefs {

template <auto kFree>
struct OpensslDeleter {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};

using SslPtr = std::unique_ptr<SSL, OpensslDeleter<SSL_free>>;
using BioPtr = std::unique_ptr<BIO, OpensslDeleter<BIO_free_all>>;
using X509Ptr = std::unique_ptr<X509, OpensslDeleter<X509_free>>;
using PkeyPtr = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;

/// The oldest error of this thread's queue ("certificate verify failed"), and empties the queue.
std::string take_openssl_error();

/// "SHA256:base64" of the certificate's SubjectPublicKeyInfo, without padding, as ssh prints it.
std::string fingerprint_of(X509* certificate);

}  // namespace homefs
