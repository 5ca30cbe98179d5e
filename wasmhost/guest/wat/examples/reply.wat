;; Answers every request with 403 "no": the frame is the one at the end of ABI.md.
(module
  (memory (export "memory") 1)
  (data (i32.const 1024)
    "\28\00\00\00" "\01\00" "\02\00" "\00\00\00\00\00\00\00\00" ;; 40 bytes, version 1, 2 fields, no token
    "\0a\00" "\00\00" "\04\00\00\00" "\93\01\00\00"             ;; status 403
    "\0b\00" "\00\00" "\02\00\00\00" "no\00\00")                ;; reason
  (func (export "protoo_abi_v1"))
  ;; The buffer is the first KiB.
  (func (export "protoo_init") (param $flags i32) (result i64)
    i64.const 1024)
  ;; Copies the frame into the buffer. The result is its length, and the action reply.
  (func (export "protoo_on") (param $event i32) (param $length i32) (result i64)
    (memory.copy (i32.const 0) (i32.const 1024) (i32.const 40))
    (i64.or (i64.shl (i64.const 40) (i64.const 32)) (i64.const 2))))
