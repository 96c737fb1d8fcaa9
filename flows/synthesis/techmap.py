"""Technology maps of arithmetic: from yosys' wide cells to the cells of a library."""

from __future__ import annotations

from flows.library.library import AdderCell

# --- technology maps ------------------------------------------------------------------------------------------------

FULL_ADDER_BOX = r"""
(* blackbox *)
module _liquidcal_fa_ (input A, input B, input CI, output CO, output S);
endmodule
"""

# `$fa` is a row of full adders (X carry, Y sum); `$alu` as yosys' manual defines it
CARRY_SAVE_MAP = r"""
(* techmap_celltype = "$fa" *)
module liquidcal_carry_save (A, B, C, X, Y);
  parameter WIDTH = 1;
  (* force_downto *) input [WIDTH-1:0] A, B, C;
  (* force_downto *) output [WIDTH-1:0] X, Y;
  genvar i;
  generate for (i = 0; i < WIDTH; i = i + 1) begin : bits
    _liquidcal_fa_ fa (.A(A[i]), .B(B[i]), .CI(C[i]), .CO(X[i]), .S(Y[i]));
  end endgenerate
endmodule
"""

RIPPLE_MAP = r"""
(* techmap_celltype = "$alu" *)
module liquidcal_ripple (A, B, CI, BI, X, Y, CO);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  (* force_downto *) input [A_WIDTH-1:0] A;
  (* force_downto *) input [B_WIDTH-1:0] B;
  input CI, BI;
  (* force_downto *) output [Y_WIDTH-1:0] X, Y, CO;
  (* force_downto *) wire [Y_WIDTH-1:0] a, extended, b;
  (* force_downto *) wire [Y_WIDTH:0] carry;
  \$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_a (.A(A), .Y(a));
  \$pos #(.A_SIGNED(B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_b (.A(B), .Y(extended));
  assign b = extended ^ {Y_WIDTH{BI}};
  assign carry[0] = CI;
  genvar i;
  generate for (i = 0; i < Y_WIDTH; i = i + 1) begin : bits
    _liquidcal_fa_ fa (.A(a[i]), .B(b[i]), .CI(carry[i]), .CO(carry[i + 1]), .S(Y[i]));
  end endgenerate
  assign X = a ^ b;
  assign CO = carry[Y_WIDTH:1];
endmodule
"""

# a full adder with a constant or twice the same input is less than a full adder
SIMPLIFY_MAP = r"""
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
"""

# only one output used: gates are smaller than the compound cell
PARTIAL_MAP = r"""
(* techmap_celltype = "_liquidcal_fa_sum_" *)
module liquidcal_sum_only (A, B, CI, CO, S);
  input A, B, CI;
  output CO, S;
  assign S = A ^ B ^ CI;
  assign CO = 1'bx;
endmodule
(* techmap_celltype = "_liquidcal_fa_carry_" *)
module liquidcal_carry_only (A, B, CI, CO, S);
  input A, B, CI;
  output CO, S;
  assign CO = (A & B) | (CI & (A | B));
  assign S = 1'bx;
endmodule
"""


def cell_map(adder: AdderCell, complement: bool) -> str:
    """Technology map from the full-adder box to the library's cell."""
    nets = ("~A", "~B", "~CI") if complement else ("A", "B", "CI")
    pins = ", ".join(f".{pin}({net})" for pin, net in zip(adder.inputs, nets, strict=True))
    body = f"\\{adder.cell} _TECHMAP_REPLACE_ ({pins}, .{adder.sum}(s), .{adder.carry}(co));"
    out = "~" if complement else ""
    body = f"wire s, co; {body} assign S = {out}s; assign CO = {out}co;"
    return (
        '(* techmap_celltype = "_liquidcal_fa_" *)\n'
        "module liquidcal_fa_cell (input A, input B, input CI, output CO, output S);\n"
        f"  {body}\nendmodule\n"
    )


GATES_MAP = """
(* techmap_celltype = "_liquidcal_fa_" *)
module liquidcal_fa_gates (input A, input B, input CI, output CO, output S);
  wire t = A ^ B;
  assign S = t ^ CI;
  assign CO = (A & B) | (CI & t);
endmodule
"""
