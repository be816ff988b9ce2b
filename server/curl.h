#ifndef SERVER_CURL_H_
#define SERVER_CURL_H_

#include <curl/curl.h>

#include <memory>

namespace leftfold {

struct CurlDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
// One transfer of libcurl.
using CurlTransfer = std::unique_ptr<CURL, CurlDeleter>;
using CurlList = std::unique_ptr<curl_slist, CurlDeleter>;

}  // namespace leftfold
#endif  // SERVER_CURL_H_
