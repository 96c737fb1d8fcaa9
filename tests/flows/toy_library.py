"""A hand-made Liberty library whose every number can be checked on paper, with units and orders that trip readers.

Units: 10 ps, 100 mV, 100 fF, 1 uW of leakage; so energies count in (0.1 V)^2 * 100 fF = 1 fJ, currents of leakage in
1000 nW, transition times in 0.01 ns. Falling outputs *return* energy (negative `fall_power`), as in sky130. Half the
tables have the load first, half the transition first. Supply 1.0 V (10 units).
"""

TOY = """
library (toy) {
  time_unit : "10ps"; voltage_unit : "100mV"; current_unit : "1uA"; leakage_power_unit : "1uW";
  capacitive_load_unit (100, ff);
  nom_voltage : 10; nom_temperature : 25;
  default_max_transition : 50;
  slew_lower_threshold_pct_rise : 20; slew_upper_threshold_pct_rise : 80;
  lu_table_template (slew_load) {
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0, 10"); index_2 ("0, 1");
  }
  lu_table_template (load_slew) {
    variable_1 : total_output_net_capacitance; variable_2 : input_net_transition;
    index_1 ("0, 1"); index_2 ("0, 10");
  }
  power_lut_template (energy_load_slew) {
    variable_1 : total_output_net_capacitance; variable_2 : input_transition_time;
    index_1 ("0, 1"); index_2 ("0, 10");
  }
  power_lut_template (energy_slew) { variable_1 : input_transition_time; index_1 ("0, 10"); }
  cell (INV) {
    area : 1;
    cell_leakage_power : 0.002;
    leakage_power () { when : "A"; value : 0.003; related_pg_pin : VDD; }
    leakage_power () { when : "!A"; value : 0.001; related_pg_pin : VDD; }
    leakage_power () { value : 0.0005; related_pg_pin : VPW; }
    pin (A) { direction : input; capacitance : 0.02; rise_capacitance : 0.03; fall_capacitance : 0.01; }
    pin (Y) {
      direction : output; function : "!A"; max_capacitance : 1;
      timing () {
        related_pin : "A"; timing_sense : negative_unate;
        cell_rise (slew_load) { values ("1, 3", "2, 4"); }
        cell_fall (load_slew) { values ("1, 2", "3, 4"); }
        rise_transition (slew_load) { values ("1, 5", "1, 5"); }
        fall_transition (slew_load) { values ("1, 5", "1, 5"); }
      }
      internal_power () {
        related_pin : "A";
        rise_power (energy_load_slew) { values ("10, 30", "50, 70"); }
        fall_power (energy_load_slew) { values ("-4, -4", "-44, -44"); }
      }
    }
  }
  cell (BUF) {
    area : 1.5;
    cell_leakage_power : 0.004;
    pin (A) { direction : input; capacitance : 0.02; }
    pin (Y) {
      direction : output; function : "A"; max_capacitance : 1;
      timing () {
        related_pin : "A"; timing_sense : positive_unate;
        cell_rise (slew_load) { values ("2, 4", "2, 4"); }
        cell_fall (slew_load) { values ("2, 4", "2, 4"); }
        rise_transition (slew_load) { values ("1, 5", "1, 5"); }
        fall_transition (slew_load) { values ("1, 5", "1, 5"); }
      }
      internal_power () { related_pin : "A"; power (energy_slew) { values ("6, 8"); } }
    }
  }
  cell (NAND) {
    area : 1;
    leakage_power () { when : "A & B"; value : 0.008; }
    leakage_power () { value : 0.002; }
    pin (A) {
      direction : input; capacitance : 0.04;
      internal_power () { when : "!B"; rise_power (energy_slew) { values ("3, 3"); }
                          fall_power (energy_slew) { values ("1, 1"); } }
    }
    pin (B) { direction : input; capacitance : 0.05; }
    pin (Y) {
      direction : output; function : "(A B)'"; max_capacitance : 1;
      timing () {
        related_pin : "A B"; timing_sense : negative_unate;
        cell_rise (slew_load) { values ("2, 4", "2, 4"); }
        cell_fall (slew_load) { values ("2, 4", "2, 4"); }
        rise_transition (slew_load) { values ("1, 5", "1, 5"); }
        fall_transition (slew_load) { values ("1, 5", "1, 5"); }
      }
      internal_power () { related_pin : "A"; power (energy_slew) { values ("10, 10"); } }
      internal_power () { related_pin : "B"; power (energy_slew) { values ("20, 20"); } }
    }
  }
  cell (DFF) {
    area : 5;
    cell_leakage_power : 0.01;
    ff (IQ, IQN) { next_state : "D"; clocked_on : "CK"; clear : "!RN"; }
    pin (D) { direction : input; capacitance : 0.01;
      internal_power () { when : "!CK"; power (energy_slew) { values ("4, 4"); } }
      internal_power () { when : "CK"; power (energy_slew) { values ("2, 2"); } }
      timing () { related_pin : "CK"; timing_type : setup_rising;
        rise_constraint (scalar) { values ("1"); } fall_constraint (scalar) { values ("1"); } }
    }
    pin (RN) { direction : input; capacitance : 0.01; }
    pin (CK) { direction : input; clock : true; capacitance : 0.01;
      internal_power () { when : "(D & Q) | (!D & !Q)"; power (energy_slew) { values ("8, 8"); } }
      internal_power () { when : "(D & !Q) | (!D & Q)"; rise_power (scalar) { values ("0"); }
                          fall_power (energy_slew) { values ("12, 12"); } }
    }
    pin (Q) {
      direction : output; function : "IQ"; max_capacitance : 1;
      timing () { related_pin : "CK"; timing_type : rising_edge;
        cell_rise (slew_load) { values ("5, 7", "5, 7"); } cell_fall (slew_load) { values ("5, 7", "5, 7"); }
        rise_transition (slew_load) { values ("1, 5", "1, 5"); }
        fall_transition (slew_load) { values ("1, 5", "1, 5"); }
      }
      internal_power () { related_pin : "CK"; rise_power (energy_slew) { values ("16, 16"); }
                          fall_power (energy_slew) { values ("14, 14"); } }
    }
  }
  cell (NDFF) {
    area : 5;
    ff (IQ, IQN) { next_state : "D"; clocked_on : "!CK"; }
    pin (D) { direction : input; capacitance : 0.01; }
    pin (CK) { direction : input; clock : true; capacitance : 0.01; }
    pin (Q) { direction : output; function : "IQ"; }
    pin (QN) { direction : output; function : "IQN"; }
  }
  cell (LATCH) {
    area : 3;
    latch (IQ, IQN) { data_in : "D"; enable : "G"; }
    pin (D) { direction : input; capacitance : 0.01; }
    pin (G) { direction : input; capacitance : 0.01; }
    pin (Q) { direction : output; function : "IQ"; }
  }
  cell (GATE) {
    area : 4;
    clock_gating_integrated_cell : "latch_posedge";
    pin (CK) { direction : input; clock_gate_clock_pin : true; capacitance : 0.01; }
    pin (E) { direction : input; clock_gate_enable_pin : true; capacitance : 0.01; }
    pin (GCK) { direction : output; clock_gate_out_pin : true; state_function : "CK & IQ"; }
  }
}
"""
