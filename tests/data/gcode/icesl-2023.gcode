G28
M190 S63 ; bed
M109 S209 ; nozzle
G90
M82
G92 E0
; <IceSL Feb 27 2023 10:11:12>
; add_brim : 	False
; add_raft : 	False
; bed_size_x_mm : 	235
; bed_size_y_mm : 	225
; bed_temp_degree_c : 	63
; chamber_temp_degree_c : 	29
; enable_fan : 	True
; extruder_count : 	1
; extruder_temp_degree_c_0 : 	209
; extruder_temp_degree_c_1 : 	181
; filament_diameter_mm_0 : 	1.75
; infill_percentage_0 : 	15
; infill_type_0 : 	Cubic
; nozzle_diameter_mm_0 : 	0.5
; nozzle_diameter_mm_1 : 	0.3
; num_shells_0 : 	2
; print_perimeter_0 : 	True
; z_layer_height_first_layer_mm : 	0.31
; z_layer_height_mm : 	0.27
; <layer>
G0 Z0.310000
G1 X92 Y88 F7200
G1 X106 E0.4 F1800
G1 Y102 E0.4
G1 X92 E0.4
G1 Y88 E0.4
; </layer>
; <layer>
G0 Z0.580000
G1 X92 Y88 F7200
G1 X106 E0.4 F1800
G1 Y102 E0.4
G1 X92 E0.4
G1 Y88 E0.4
; </layer>
; <layer>
G0 Z0.850000
G1 X92 Y88 F7200
G1 X106 E0.4 F1800
G1 Y102 E0.4
G1 X92 E0.4
G1 Y88 E0.4
; </layer>
M104 S0
M140 S0
M84
