// A full adder of which only one output is used: gates are smaller than the compound cell.
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
