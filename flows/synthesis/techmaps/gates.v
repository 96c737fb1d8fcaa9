// A full-adder box as gates, for libraries without a full adder.
(* techmap_celltype = "_liquidcal_fa_" *)
module liquidcal_fa_gates (input A, input B, input CI, output CO, output S);
  wire t = A ^ B;
  assign S = t ^ CI;
  assign CO = (A & B) | (CI & t);
endmodule
