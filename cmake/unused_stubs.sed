# What gRPC's generator writes and nobody here calls: clients over completion queues, and servers that are asynchronous by completion
# queues, raw, generic or streamed. It is two thirds of the generated lines, and each test compiles the headers.
/^ +std::unique_ptr< .*>> (Prepare)?Async[A-Za-z]+\(/,/^    \}$/d
/ (Prepare)?Async[A-Za-z]+Raw\(.*(= 0|override);$/d
/^::grpc::Client.* [A-Za-z]+::Stub::(Prepare)?Async[A-Za-z]+Raw\(/,/^$/d
/^  template <class BaseClass>$/{
  N
  /With(Async|Generic|Raw|RawCallback|StreamedUnary|SplitStreaming)Method/{
    :class
    N
    /\n  \};$/!b class
    d
  }
}
/^  typedef .* (AsyncService|StreamedUnaryService|SplitStreamedService|StreamedService);$/d
