; KISSlicer - FREE
; Linux
; version 2 a 2.0.1 Linux64
; Built: Feb 20 2020, 07:33:40
; Running on 4 cores
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
; ext_1_mat_name = Smoke ABS
; nozzle_dia_1 = 0.35
;
; *** Material Settings for Extruder 1 ***
;
; material_name = Smoke ABS
; g_code_matl = NULL
; temperature_C = 239
; keep_warm_C = 150
; first_layer_C = 244
; bed_C = 96
; chamber_C = 37
; fiber_dia_mm = 1.75
;
; *** Style Settings ***
;
; style_name = plain
; layer_thickness_mm = 0.14
; max_layer_thickness_mm = 0.21
; first_layer_thickness_mm = 0.27
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
M140 S96
G21
G90
M83
G28
M109 S244
M190 S96

; BEGIN_LAYER_OBJECT z=0.270 z_thickness=0.220
; fan off
; *** Selecting and Warming Extruder 1 to 232 C ***
; 'Perimeter Path', 0.4 [feed mm/s], 25.0 [head mm/s]
G1 Z0.27 F720
G1 X92 Y88 F7200
G1 X106 E0.4 F1800
G1 Y102 E0.4
G1 X92 E0.4
G1 Y88 E0.4
;
; END_LAYER_OBJECT z=0.270
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
; BEGIN_LAYER_OBJECT z=0.690 z_thickness=0.220
; fan off
; *** Selecting and Warming Extruder 1 to 232 C ***
; 'Perimeter Path', 0.4 [feed mm/s], 25.0 [head mm/s]
G1 Z0.69 F720
G1 X92 Y88 F7200
G1 X106 E0.4 F1800
G1 Y102 E0.4
G1 X92 E0.4
G1 Y88 E0.4
;
; END_LAYER_OBJECT z=0.690
;
; *** G-code Postfix ***
;
G91
G1 Z+8
G90
M104 S0
M140 S0
;
; Calculated-during-export Build Time: 21.75 minutes
; Estimated-in-GUI Build Time:         22.02 minutes
; Estimated-in-GUI Build Cost:         $0.15
;
; Filament used per extruder:
;    Ext #1  =   633.20 mm  (1.523 cm^3)
;
; *** Extrusion Time Breakdown ***
;	| Ext #1  | Path Type
;	| 1260.4  | Perimeter Path             |
; Total estimated (pre-cool) minutes: 21.40
