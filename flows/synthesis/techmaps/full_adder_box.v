// A full adder as a black box: what arithmetic becomes before it becomes cells of a library.
(* blackbox *)
module _liquidcal_fa_ (input A, input B, input CI, output CO, output S);
endmodule
