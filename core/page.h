#ifndef CORE_PAGE_H_
#define CORE_PAGE_H_

#include <absl/status/statusor.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace leftfold {

inline constexpr int kPageSizeDefault = 50;
inline constexpr int kPageSizeMax = 1'000;

// The refusal of a token that was not made for the query.
absl::Status InvalidPageToken();

// One page of a list query, from its fields `page_size` and `page_token`.
//   auto page = Page::Of(request);
//   rows after page->after() (a sort key of the query's own, "" = from the start), page->size() + 1
//   of them; when there was one more: response.set_next_page_token(page->TokenAfter(last key that
//   was returned))
// A token is opaque, printable, and bound to the request's other arguments by a hash; it guards
// against mistakes, not against a client that wants to start its own list elsewhere. Such a client
// can make a token with any key, so a query whose keys have a form checks after() and answers what
// is none of its keys with InvalidPageToken().
class Page {
 public:
  // page_size 0 gives kPageSizeDefault, more than kPageSizeMax gives kPageSizeMax, negative is
  // INVALID_FIELDS. A token that was not made for these arguments is INVALID_PAGE_TOKEN.
  static absl::StatusOr<Page> Of(const google::protobuf::Message& request);
  int size() const { return size_; }
  const std::string& after() const { return after_; }
  // after() where keys are numbers: `first` on the first page, else between `first` and `end`;
  // INVALID_PAGE_TOKEN where it is no such number.
  absl::StatusOr<std::int64_t> NumberAfter(std::int64_t first, std::int64_t end) const;
  std::string TokenAfter(std::string_view key) const;

 private:
  int size_ = 0;
  std::string after_;
  std::string arguments_;  // Hash of the request without its page fields.
};

}  // namespace leftfold
#endif  // CORE_PAGE_H_
