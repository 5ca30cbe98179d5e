;; The smallest module: it is told of every request, and passes each one on as it is.
(module
  (memory (export "memory") 1)
  (func (export "protoo_abi_v1"))
  ;; The buffer is the first KiB.
  (func (export "protoo_init") (param $flags i32) (result i64)
    i64.const 1024)
  (func (export "protoo_on") (param $event i32) (param $length i32) (result i64)
    i64.const 0))
