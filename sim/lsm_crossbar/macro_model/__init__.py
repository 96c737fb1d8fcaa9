"""The resistive macro: device effects, IR drop of the array, conductance files."""
