;; Products of one query with chosen rows of an int8 matrix, in integers and exact.
;;
;;   matrix   int8 [rows, dimension], row-major; dimension a multiple of 8
;;   list     int32, the rows wanted, up to the address `end`; at least one
;;   query    int16 [dimension]
;;   out      int32 [4] a wanted row: partial sums, to be added
;;
;; No sum can leave int32 as long as 127 * |query| * sqrt(dimension) does not.
(module
  (import "index" "memory" (memory 1))
  (func (export "dots")
    (param $matrix i32) (param $dimension i32) (param $list i32) (param $end i32) (param $query i32) (param $out i32)
    (local $at i32) (local $stop i32) (local $queryAt i32)
    (local $sum v128)
    (loop $each
      (local.set $at (i32.add (local.get $matrix) (i32.mul (i32.load (local.get $list)) (local.get $dimension))))
      (local.set $stop (i32.add (local.get $at) (local.get $dimension)))
      (local.set $queryAt (local.get $query))
      (local.set $sum (i32x4.splat (i32.const 0)))
      (loop $eight
        (local.set $sum (i32x4.add (local.get $sum)
          (i32x4.dot_i16x8_s (v128.load8x8_s (local.get $at)) (v128.load (local.get $queryAt)))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (local.set $queryAt (i32.add (local.get $queryAt) (i32.const 16)))
        (br_if $eight (i32.lt_u (local.get $at) (local.get $stop))))
      (v128.store (local.get $out) (local.get $sum))
      (local.set $out (i32.add (local.get $out) (i32.const 16)))
      (local.set $list (i32.add (local.get $list) (i32.const 4)))
      (br_if $each (i32.lt_u (local.get $list) (local.get $end))))))
