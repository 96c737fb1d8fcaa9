// an inverter and a flip-flop
module chain (input a, input ck, input rn, output q);
  wire n;
  INV u (.A(a), .Y(n));
  DFF \v[0] (.D(n), .CK(ck), .RN(rn), .Q(q));
endmodule
