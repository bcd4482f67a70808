; KISSlicer - FREE
; Windows
; version 1.6.2 Release Win64
; Built: Jan  3 2018, 12:20:09
; Running on 6 cores
;
; Saved: 2022-06-14 21:55:37
; 'pin.gcode'
;
; *** Printer Settings ***
;
; printer_name = Workbench
; bed_STL_filename = 
; extension = gcode
; num_extruders = 1
; firmware_type = 2
; add_comments = 1
; bed_size_x_mm = 235
; bed_size_y_mm = 225
; bed_size_z_mm = 260
; travel_speed_mm_per_s = 180
; first_layer_speed_mm_per_s = 22
; ext_1_mat_name = Birch wood PLA
; nozzle_dia_1 = 0.35
;
; *** Material Settings for Extruder 1 ***
;
; material_name = Birch wood PLA
; g_code_matl = NULL
; temperature_C = 199
; keep_warm_C = 150
; first_layer_C = 204
; bed_C = 51
; chamber_C = 0
; fiber_dia_mm = 1.75
;
; *** Style Settings ***
;
; style_name = plain
; layer_thickness_mm = 0.18
; max_layer_thickness_mm = 0.22
; first_layer_thickness_mm = 0.26
; extrusion_width_mm = 0.38
; num_loops = 2
;
; *** Support Settings ***
;
; support_name = none
; support_density = 0
;
; *** G-code Prefix ***
;
M140 S51
G21
G90
M83
G28
M109 S204
M190 S51

; BEGIN_LAYER_OBJECT z=0.260 z_thickness=0.220
; fan off
; *** Selecting and Warming Extruder 1 to 232 C ***
; 'Perimeter Path', 0.4 [feed mm/s], 25.0 [head mm/s]
G1 Z0.26 F720
G1 X92 Y88 F7200
G1 X106 E0.4 F1800
G1 Y102 E0.4
G1 X92 E0.4
G1 Y88 E0.4
;
; END_LAYER_OBJECT z=0.260
; BEGIN_LAYER_OBJECT z=0.480 z_thickness=0.220
; fan off
; *** Selecting and Warming Extruder 1 to 232 C ***
; 'Perimeter Path', 0.4 [feed mm/s], 25.0 [head mm/s]
G1 Z0.48 F720
G1 X92 Y88 F7200
G1 X106 E0.4 F1800
G1 Y102 E0.4
G1 X92 E0.4
G1 Y88 E0.4
;
; END_LAYER_OBJECT z=0.480
;
; *** G-code Postfix ***
;
G91
G1 Z+8
G90
M104 S0
M140 S0
;
; Estimated Build Time:   12.5 minutes
; Estimated Build Cost:   $0.11
;
; Filament used per extruder:
;    Ext 1 =   417.36 mm  (1.004 cm^3)
;
; *** Extrusion Time Breakdown ***
; * estimated time in [s]
;	: Extruder #1 : Path Type                  :
;	: 702.118     : Perimeter Path             :
; Total estimated (pre-cool) minutes: 12.31
