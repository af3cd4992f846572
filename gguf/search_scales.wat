;; Searches the scales of k-quants, four parts of a block at a time: one in each lane of a vector.
;;
;; In: a block's 256 numbers, in groups of four parts: the first number of each part, the second of each, and so on.
;; Out: scales (and minima) of the parts, and the codes that they were found with, in the same order as the numbers.
;; Each operation rounds to float32 and comes in the order of llama.cpp's reference, so that all is equal to the bit.
;; Lanes differ in what they keep: a candidate is computed in all four, and kept where it is better.
;;
;; To make search_scales.wasm of it: npx -p wabt@1.0.39 wat2wasm gguf/search_scales.wat -o gguf/search_scales.wasm

(module
  ;; Numbers from byte 0 on, codes from 1024; of the group that is searched, weights from 2048, weighted numbers
  ;; from 2560 and the candidate's codes from 3072; scales of all parts from 3584, minima from 3648.
  (memory (export "memory") 1)

  ;; Copies the candidate's codes to the group's, in the lanes of a mask.
  (func $keepTried (param $codes i32) (param $bytes i32) (param $mask v128)
    (local $i i32)
    (loop $next
      (v128.store (i32.add (local.get $codes) (local.get $i))
        (v128.bitselect
          (v128.load offset=3072 (local.get $i))
          (v128.load (i32.add (local.get $codes) (local.get $i)))
          (local.get $mask)))
      (br_if $next (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 16)))
        (local.get $bytes)))))

  ;; Zeroes the codes of a block.
  (func $clearCodes
    (memory.fill (i32.const 1024) (i32.const 0) (i32.const 1024)))

  ;; x ≈ scale · code − minimum, codes from 0 to `most`: 8 parts of 32 numbers. The obvious scale is tried first,
  ;; then candidates whose codes give scale and minimum by weighted least squares.
  (func (export "searchScalesAndMinima") (param $most f32) (param $first f32) (param $candidates i32)
    (call $clearCodes)
    (call $searchWithMinima (i32.const 0) (local.get $most) (local.get $first) (local.get $candidates))
    (call $searchWithMinima (i32.const 1) (local.get $most) (local.get $first) (local.get $candidates)))

  (func $searchWithMinima (param $group i32) (param $most f32) (param $first f32) (param $candidates i32)
    (local $numbers i32) (local $i i32) (local $turn i32) (local $steps f32)
    (local $x v128) (local $weight v128) (local $code v128) (local $product v128) (local $usual v128)
    (local $low v128) (local $high v128) (local $weightSum v128) (local $numberSum v128)
    (local $inverse v128) (local $codeSum v128) (local $squareSum v128) (local $productSum v128)
    (local $determinant v128) (local $thisScale v128) (local $thisMinimum v128) (local $positive v128)
    (local $valid v128) (local $error v128) (local $best v128) (local $scale v128) (local $largestCode v128)

    (local.set $numbers (i32.mul (local.get $group) (i32.const 512)))
    (local.set $largestCode (f32x4.splat (local.get $most)))

    ;; Weights: the root mean square of the part, and the number's own size.
    (loop $next
      (local.set $x (v128.load (i32.add (local.get $numbers) (local.get $i))))
      (local.set $usual (f32x4.add (local.get $usual) (f32x4.mul (local.get $x) (local.get $x))))
      (br_if $next (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 16)))
        (i32.const 512))))
    (local.set $usual (f32x4.sqrt (f32x4.div (local.get $usual) (f32x4.splat (f32.const 32)))))
    (local.set $low (v128.load (local.get $numbers)))
    (local.set $high (local.get $low))
    (local.set $i (i32.const 0))
    (loop $next
      (local.set $x (v128.load (i32.add (local.get $numbers) (local.get $i))))
      (local.set $weight (f32x4.add (local.get $usual) (f32x4.abs (local.get $x))))
      (v128.store offset=2048 (local.get $i) (local.get $weight))
      (local.set $low (f32x4.pmin (local.get $low) (local.get $x)))
      (local.set $high (f32x4.pmax (local.get $high) (local.get $x)))
      (local.set $weightSum (f32x4.add (local.get $weightSum) (local.get $weight)))
      (local.set $numberSum
        (f32x4.add (local.get $numberSum) (f32x4.mul (local.get $weight) (local.get $x))))
      (br_if $next (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 16)))
        (i32.const 512))))
    (local.set $low (f32x4.pmin (local.get $low) (f32x4.splat (f32.const 0))))

    ;; Lanes whose numbers are all the same divide by zero, and keep nothing that comes of it.
    (local.set $best (f32x4.splat (f32.const inf)))
    (local.set $turn (i32.const -1))
    (loop $candidate
      (local.set $steps
        (if (result f32) (i32.lt_s (local.get $turn) (i32.const 0))
          (then (local.get $most))
          (else (f32.add
            (f32.add
              (local.get $first)
              (f32.mul (f32.const 0.1) (f32.convert_i32_s (local.get $turn))))
            (local.get $most)))))
      (local.set $inverse
        (f32x4.div (f32x4.splat (local.get $steps)) (f32x4.sub (local.get $high) (local.get $low))))
      (local.set $codeSum (v128.const i32x4 0 0 0 0))
      (local.set $squareSum (v128.const i32x4 0 0 0 0))
      (local.set $productSum (v128.const i32x4 0 0 0 0))
      (local.set $i (i32.const 0))
      (loop $next
        (local.set $x (v128.load (i32.add (local.get $numbers) (local.get $i))))
        (local.set $code
          (f32x4.pmin
            (f32x4.pmax
              (f32x4.nearest
                (f32x4.mul (local.get $inverse) (f32x4.sub (local.get $x) (local.get $low))))
              (f32x4.splat (f32.const 0)))
            (local.get $largestCode)))
        (v128.store offset=3072 (local.get $i) (local.get $code))
        (local.set $product (f32x4.mul (v128.load offset=2048 (local.get $i)) (local.get $code)))
        (local.set $codeSum (f32x4.add (local.get $codeSum) (local.get $product)))
        (local.set $squareSum
          (f32x4.add (local.get $squareSum) (f32x4.mul (local.get $product) (local.get $code))))
        (local.set $productSum
          (f32x4.add (local.get $productSum) (f32x4.mul (local.get $product) (local.get $x))))
        (br_if $next (i32.lt_u
          (local.tee $i (i32.add (local.get $i) (i32.const 16)))
          (i32.const 512))))

      (if (i32.lt_s (local.get $turn) (i32.const 0))
        (then
          (local.set $thisScale (f32x4.div (f32x4.splat (f32.const 1)) (local.get $inverse)))
          (local.set $thisMinimum (local.get $low))
          (local.set $valid (v128.const i32x4 -1 -1 -1 -1)))
        (else
          (local.set $determinant
            (f32x4.sub
              (f32x4.mul (local.get $weightSum) (local.get $squareSum))
              (f32x4.mul (local.get $codeSum) (local.get $codeSum))))
          (local.set $valid (f32x4.gt (local.get $determinant) (f32x4.splat (f32.const 0))))
          (local.set $thisScale
            (f32x4.div
              (f32x4.sub
                (f32x4.mul (local.get $weightSum) (local.get $productSum))
                (f32x4.mul (local.get $numberSum) (local.get $codeSum)))
              (local.get $determinant)))
          (local.set $thisMinimum
            (f32x4.div
              (f32x4.sub
                (f32x4.mul (local.get $squareSum) (local.get $numberSum))
                (f32x4.mul (local.get $codeSum) (local.get $productSum)))
              (local.get $determinant)))
          ;; A minimum above zero has no code: the scale alone.
          (local.set $positive (f32x4.gt (local.get $thisMinimum) (f32x4.splat (f32.const 0))))
          (local.set $thisScale
            (v128.bitselect
              (f32x4.div (local.get $productSum) (local.get $squareSum))
              (local.get $thisScale)
              (local.get $positive)))
          (local.set $thisMinimum (v128.andnot (local.get $thisMinimum) (local.get $positive)))))

      (local.set $error (v128.const i32x4 0 0 0 0))
      (local.set $i (i32.const 0))
      (loop $next
        (local.set $x
          (f32x4.sub
            (f32x4.add
              (f32x4.mul (local.get $thisScale) (v128.load offset=3072 (local.get $i)))
              (local.get $thisMinimum))
            (v128.load (i32.add (local.get $numbers) (local.get $i)))))
        (local.set $error
          (f32x4.add
            (local.get $error)
            (f32x4.mul
              (v128.load offset=2048 (local.get $i))
              (f32x4.mul (local.get $x) (local.get $x)))))
        (br_if $next (i32.lt_u
          (local.tee $i (i32.add (local.get $i) (i32.const 16)))
          (i32.const 512))))
      (local.set $valid
        (v128.and (local.get $valid) (f32x4.lt (local.get $error) (local.get $best))))
      (if (v128.any_true (local.get $valid))
        (then
          (local.set $best
            (v128.bitselect (local.get $error) (local.get $best) (local.get $valid)))
          (local.set $scale
            (v128.bitselect (local.get $thisScale) (local.get $scale) (local.get $valid)))
          ;; The next candidates begin at this one's minimum.
          (local.set $low
            (v128.bitselect (local.get $thisMinimum) (local.get $low) (local.get $valid)))
          (call $keepTried
            (i32.add (i32.const 1024) (local.get $numbers))
            (i32.const 512)
            (local.get $valid))))
      (br_if $candidate (i32.lt_s
        (local.tee $turn (i32.add (local.get $turn) (i32.const 1)))
        (local.get $candidates))))

    (v128.store offset=3584 (i32.mul (local.get $group) (i32.const 16)) (local.get $scale))
    (v128.store offset=3648 (i32.mul (local.get $group) (i32.const 16)) (f32x4.neg (local.get $low))))

  ;; x ≈ scale · (code − 32), codes from 0 to 63: 16 parts of 16 numbers.
  (func (export "searchScales")
    (local $group i32)
    (call $clearCodes)
    (loop $next
      (call $searchGroup (local.get $group))
      (br_if $next (i32.lt_u
        (local.tee $group (i32.add (local.get $group) (i32.const 1)))
        (i32.const 4)))))

  (func $searchGroup (param $group i32)
    (local $numbers i32) (local $i i32) (local $turn i32)
    (local $x v128) (local $weight v128) (local $code v128) (local $largest v128) (local $real v128)
    (local $inverse v128) (local $productSum v128) (local $squareSum v128) (local $better v128)
    (local $scale v128) (local $best v128)

    (local.set $numbers (i32.mul (local.get $group) (i32.const 256)))
    (loop $next
      (local.set $x (v128.load (i32.add (local.get $numbers) (local.get $i))))
      (local.set $largest
        (v128.bitselect
          (local.get $x)
          (local.get $largest)
          (f32x4.gt (f32x4.abs (local.get $x)) (f32x4.abs (local.get $largest)))))
      (local.set $weight (f32x4.mul (local.get $x) (local.get $x)))
      (v128.store offset=2048 (local.get $i) (local.get $weight))
      (v128.store offset=2560 (local.get $i) (f32x4.mul (local.get $weight) (local.get $x)))
      (br_if $next (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 16)))
        (i32.const 256))))
    ;; Parts whose numbers are all smaller than 1e-15 are zero.
    (local.set $real (f32x4.ge (f32x4.abs (local.get $largest)) (f32x4.splat (f32.const 1e-15))))

    ;; The obvious scale first, then those around it: 32 − 0.9 to 32 + 0.9 steps.
    (local.set $turn (i32.const -10))
    (loop $candidate
      (local.set $inverse
        (f32x4.div
          (f32x4.splat (f32.neg
            (if (result f32) (i32.eq (local.get $turn) (i32.const -10))
              (then (f32.const 32))
              (else (f32.add
                (f32.const 32)
                (f32.mul (f32.const 0.1) (f32.convert_i32_s (local.get $turn))))))))
          (local.get $largest)))
      (local.set $productSum (v128.const i32x4 0 0 0 0))
      (local.set $squareSum (v128.const i32x4 0 0 0 0))
      (local.set $i (i32.const 0))
      (loop $next
        (local.set $code
          (f32x4.pmin
            (f32x4.pmax
              (f32x4.nearest
                (f32x4.mul
                  (local.get $inverse)
                  (v128.load (i32.add (local.get $numbers) (local.get $i)))))
              (f32x4.splat (f32.const -32)))
            (f32x4.splat (f32.const 31))))
        (v128.store offset=3072 (local.get $i)
          (f32x4.add (local.get $code) (f32x4.splat (f32.const 32))))
        (local.set $productSum
          (f32x4.add
            (local.get $productSum)
            (f32x4.mul (v128.load offset=2560 (local.get $i)) (local.get $code))))
        (local.set $squareSum
          (f32x4.add
            (local.get $squareSum)
            (f32x4.mul
              (f32x4.mul (v128.load offset=2048 (local.get $i)) (local.get $code))
              (local.get $code))))
        (br_if $next (i32.lt_u
          (local.tee $i (i32.add (local.get $i) (i32.const 16)))
          (i32.const 256))))

      (local.set $better
        (if (result v128) (i32.eq (local.get $turn) (i32.const -10))
          (then (local.get $real))
          (else
            (v128.and
              (local.get $real)
              (v128.and
                (f32x4.gt (local.get $squareSum) (f32x4.splat (f32.const 0)))
                (f32x4.gt
                  (f32x4.mul (local.get $productSum) (local.get $productSum))
                  (f32x4.mul (local.get $best) (local.get $squareSum))))))))
      (if (v128.any_true (local.get $better))
        (then
          (local.set $scale
            (v128.bitselect
              (v128.andnot
                (f32x4.div (local.get $productSum) (local.get $squareSum))
                (f32x4.eq (local.get $squareSum) (f32x4.splat (f32.const 0))))
              (local.get $scale)
              (local.get $better)))
          (local.set $best
            (v128.bitselect
              (f32x4.mul (local.get $scale) (local.get $productSum))
              (local.get $best)
              (local.get $better)))
          (call $keepTried
            (i32.add (i32.const 1024) (local.get $numbers))
            (i32.const 256)
            (local.get $better))))
      ;; −10 stood for the obvious one; 0 would be it again.
      (local.set $turn (i32.add (local.get $turn) (i32.const 1)))
      (if (i32.eqz (local.get $turn)) (then (local.set $turn (i32.const 1))))
      (br_if $candidate (i32.le_s (local.get $turn) (i32.const 9))))

    (v128.store offset=3584 (i32.mul (local.get $group) (i32.const 16)) (local.get $scale)))
)
