# What gRPC's generator writes and nobody here calls: clients' functions over completion queues. They are no templates, so that each file
# which includes a header compiles them (docs/adr/0024-unity-builds.md).
/^ +std::unique_ptr< .*>> (Prepare)?Async[A-Za-z]+\(/,/^    \}$/d
/ (Prepare)?Async[A-Za-z]+Raw\(.*(= 0|override);$/d
/^::grpc::Client.* [A-Za-z]+::Stub::(Prepare)?Async[A-Za-z]+Raw\(/,/^$/d
