// A full adder with a constant or twice the same input is less than a full adder.
(* techmap_celltype = "_liquidcal_fa_" *)
module liquidcal_simplify (A, B, CI, CO, S);
  input A, B, CI;
  output CO, S;
  parameter _TECHMAP_CONSTMSK_A_ = 0;
  parameter _TECHMAP_CONSTVAL_A_ = 0;
  parameter _TECHMAP_CONSTMSK_B_ = 0;
  parameter _TECHMAP_CONSTVAL_B_ = 0;
  parameter _TECHMAP_CONSTMSK_CI_ = 0;
  parameter _TECHMAP_CONSTVAL_CI_ = 0;
  parameter _TECHMAP_BITS_CONNMAP_ = 0;
  parameter [_TECHMAP_BITS_CONNMAP_-1:0] _TECHMAP_CONNMAP_A_ = 0;
  parameter [_TECHMAP_BITS_CONNMAP_-1:0] _TECHMAP_CONNMAP_B_ = 0;
  parameter [_TECHMAP_BITS_CONNMAP_-1:0] _TECHMAP_CONNMAP_CI_ = 0;
  localparam A0 = _TECHMAP_CONSTMSK_A_ && _TECHMAP_CONSTVAL_A_ !== 1'b1;
  localparam B0 = _TECHMAP_CONSTMSK_B_ && _TECHMAP_CONSTVAL_B_ !== 1'b1;
  localparam C0 = _TECHMAP_CONSTMSK_CI_ && _TECHMAP_CONSTVAL_CI_ !== 1'b1;
  generate
    if (A0) begin assign CO = B & CI; assign S = B ^ CI; end
    else if (B0) begin assign CO = A & CI; assign S = A ^ CI; end
    else if (C0) begin assign CO = A & B; assign S = A ^ B; end
    else if (_TECHMAP_CONSTMSK_A_) begin assign CO = B | CI; assign S = ~(B ^ CI); end
    else if (_TECHMAP_CONSTMSK_B_) begin assign CO = A | CI; assign S = ~(A ^ CI); end
    else if (_TECHMAP_CONSTMSK_CI_) begin assign CO = A | B; assign S = ~(A ^ B); end
    else if (_TECHMAP_CONNMAP_A_ == _TECHMAP_CONNMAP_B_) begin assign CO = A; assign S = CI; end
    else if (_TECHMAP_CONNMAP_A_ == _TECHMAP_CONNMAP_CI_) begin assign CO = A; assign S = B; end
    else if (_TECHMAP_CONNMAP_B_ == _TECHMAP_CONNMAP_CI_) begin assign CO = B; assign S = A; end
    else wire _TECHMAP_FAIL_ = 1;
  endgenerate
endmodule
