#include "tests/support/tls_keys.h"

#include <cstdlib>
#include <filesystem>

#include "cohort/core/error.h"

namespace cohort::test {

namespace fs = std::filesystem;

TlsKeyFolder::TlsKeyFolder() : path_(fs::temp_directory_path() / "cohort_tls_XXXXXX") {
  if (!mkdtemp(path_.data())) throw Internal("no temporary folder");
}

TlsKeyFolder::~TlsKeyFolder() { fs::remove_all(path_); }

bool TlsKeyFolder::possible() { return std::system("openssl version > /dev/null 2>&1") == 0; }

cluster::TlsOptions TlsKeyFolder::make(const std::string& name, const std::string& certificate) {
  const std::string folder = path_ + "/" + name;
  fs::create_directory(folder);
  const std::string command =
      "cd " + folder +
      " && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
      " -subj /CN=authority -keyout ca.key -out ca.pem 2> log"
      " && openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=task"
      " -keyout task.key -out task.csr 2>> log"
      " && printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' > extensions"
      " && openssl x509 -req -in task.csr -CA ca.pem -CAkey ca.key -CAcreateserial " +
      certificate + " -extfile extensions -out task.pem 2>> log";
  if (std::system(command.c_str()) != 0) throw Internal("openssl: see {}/log", folder);
  return {folder + "/ca.pem", folder + "/task.pem", folder + "/task.key"};
}

}  // namespace cohort::test
