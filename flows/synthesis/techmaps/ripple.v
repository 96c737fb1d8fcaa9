// $alu, as the manual of yosys defines it, as a ripple-carry chain of full-adder boxes.
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
